"""``sample/vit`` and ``sample/text``: small encoders of the sample world whose weights ship in the package.

They know the procedural driving world of ``sources.sample`` in English and Japanese, and little else: they
make the first command need no download. Trained by ``data_preparation/train_sample_encoders.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from multimodal_search.encoders import options as shared
from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.encoders.runtime import Runtime
from multimodal_search.errors import EncoderError, nearest
from multimodal_search.types import EncoderCard, Modality, Pool

if TYPE_CHECKING:
    from pathlib import Path

MODELS = {"vit": Modality.IMAGE, "text": Modality.TEXT}
SHIPPED = "shipped"
DIM = 128
IMAGE_SIZE_PX = (96, 160)
PATCHES = (6, 10)  # rows, columns
OWN_RESIZE: shared.Resize = "squash"
CONTEXT_LENGTH = 96
_POOLS: dict[str, tuple[Pool, ...]] = {"vit": ("default", "cls", "mean", "grid"), "text": ("default",)}
_TOKEN_DIM = 144


def models() -> list[str]:
    """Known model names."""
    return list(MODELS)


def card(
    model: str, modality: Modality, weights: str | None, pool: Pool, options: dict[str, Any]
) -> EncoderCard:
    """See ``encoders.card``."""
    name = f"sample/{model}"
    if model not in MODELS:
        raise EncoderError(f"Unknown sample encoder {model!r}: {nearest(model, models())}")
    if MODELS[model] is not modality:
        fitting = next(name for name, kind in MODELS.items() if kind is not MODELS[model])
        raise EncoderError(
            f"sample/{model} encodes {MODELS[model].value}, not {modality.value}",
            remedy=f"sample/{fitting} encodes {MODELS[fitting].value}",
        )
    if weights not in (None, SHIPPED):
        raise EncoderError(
            f"sample/{model} has no weights {weights!r}", remedy=f"leave them out, or say {SHIPPED!r}"
        )
    if pool not in _POOLS[model]:
        raise EncoderError(
            f"{name} has no pooling {pool!r}",
            remedy=f"one of {list(_POOLS[model])}; cls, mean and grid are for {shared.WITH_GRIDS}",
        )
    return EncoderCard(
        name=name,
        weights=SHIPPED,
        modality=modality,
        dim=DIM if pool == "default" else _TOKEN_DIM,
        image_size_px=IMAGE_SIZE_PX if model == "vit" else None,
        pool=pool,
        pools=_POOLS[model],
        licence="Apache-2.0",
        space="sample" if pool == "default" else None,
        options=_checked_options(name, model, pool, options),
    )


def _checked_options(name: str, model: str, pool: Pool, options: dict[str, Any]) -> dict[str, Any]:
    if model != "vit":
        shared.check_known(name, options, ())
        return {}
    shared.check_known(name, options, ("grid", "image_size", "resize"))
    checked = shared.resize_option(name, options, OWN_RESIZE)
    checked |= shared.image_size_option(name, options, IMAGE_SIZE_PX, None)
    if pool == "grid":
        checked |= shared.grid_option(name, options, PATCHES, None)
    return checked


def load(card: EncoderCard, runtime: Runtime) -> FrozenEncoder:
    """See ``encoders.build_from_card``."""
    from multimodal_search.encoders.sample_towers import SampleText, SampleVit

    kind = SampleVit if card.modality is Modality.IMAGE else SampleText
    return kind(card, runtime, weights_folder())


def weights_folder() -> Path:
    """Where the shipped files are: two ``.safetensors`` and the tokenizer."""
    from pathlib import Path

    return Path(str(files("multimodal_search.encoders") / "weights"))


def padded_ids(tokenizer: Any, texts: Sequence[str]) -> Any:
    """(batch, longest) int64 token ids, 0 where padded, at most ``CONTEXT_LENGTH`` long."""
    import numpy as np

    # one by one: the batch call starts threads, and warns when a worker process is forked afterwards
    rows = [tokenizer.encode(text).ids[:CONTEXT_LENGTH] for text in texts]
    ids = np.zeros((len(rows), max(map(len, rows), default=0) or 1), dtype=np.int64)
    for row, tokens in zip(ids, rows, strict=True):
        row[: len(tokens)] = tokens
    return ids
