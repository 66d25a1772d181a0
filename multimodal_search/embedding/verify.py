"""Stored rows against the same inputs embedded anew: full precision, exact decoding, no table in between."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from multimodal_search.embedding.bulk import encoder_choice
from multimodal_search.embedding.preparing import prepare_image, prepare_text
from multimodal_search.embedding.reading import read_input
from multimodal_search.embedding.stream import Prepared
from multimodal_search.engines.devices import devices_here
from multimodal_search.errors import DataError, SkipInput
from multimodal_search.settings import EmbedSettings
from multimodal_search.sources.inputs import open_inputs
from multimodal_search.storage import default_features_dir
from multimodal_search.tables import FeatureTable
from multimodal_search.types import FloatArray, Input, Modality

_SEED = 0


def verify(settings: EmbedSettings, table: FeatureTable) -> str:
    """Compute ``settings.verify`` random rows again and say how far the stored ones are.

    Raises:
        DataError: none of the rows' inputs is there any more.
        EncoderError: the encoder is not the one that made the table.
    """
    inputs = open_inputs(settings, sample_dir=default_features_dir().parent / "sample")
    rows = table.latest_rows()
    chosen = np.random.default_rng(_SEED).choice(rows, min(settings.verify, len(rows)), replace=False)
    row_of = {table.ids[row]: int(row) for row in chosen}
    found = [one for one in inputs if one.id in row_of]
    live = _live(settings, inputs.modality, found)
    if not live:
        raise DataError(
            f"None of the {len(row_of)} rows to verify has its input any more.",
            where=inputs.root,
            remedy="give the flags that made the table",
        )
    stored = table.gather(np.array([row_of[one] for one in live], dtype=np.int64)).astype(np.float32)
    return _compared(stored.reshape(len(live), -1), np.stack([live[one].ravel() for one in live]))


def _live(settings: EmbedSettings, modality: Modality, found: list[Input]) -> dict[str, FloatArray]:
    choice = replace(encoder_choice(settings, modality), precision="fp32", compile=False)
    encoder, _ = choice.build(devices_here(settings.device)[0])
    live: dict[str, FloatArray] = {}
    for start in range(0, len(found), settings.batch_size):
        ready: dict[str, Prepared] = {}
        for one in found[start : start + settings.batch_size]:
            try:
                content = read_input(one)
                if modality is Modality.TEXT:
                    ready[one.id] = prepare_text(one, content, encoder=encoder)
                else:
                    ready[one.id] = prepare_image(one, content, encoder=encoder, fast=False, phash=False)
            except SkipInput:
                continue
        if ready:
            vectors = encoder.embed([one.ready for one in ready.values()])
            live.update(zip(ready, vectors, strict=True))
    return live


def _compared(stored: FloatArray, live: FloatArray) -> str:
    difference = np.abs(stored - live)
    norms = np.linalg.norm(stored, axis=1) * np.linalg.norm(live, axis=1)
    cosine = (stored * live).sum(axis=1) / np.maximum(norms, 1e-12)
    return (
        f"verified {len(stored)} random rows against fp32 and exact decoding: "
        f"difference mean {difference.mean():.2e}, maximum {difference.max():.2e}; "
        f"cosine mean {cosine.mean():.6f}, minimum {cosine.min():.6f}"
    )
