"""Synthetic frozen features whose structure is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from multimodal_search.types import EncoderCard, FeatureSet, Item, Modality, MomentFeatures


def _feature_set(
    modality: Modality, vectors: np.ndarray, links: list[list[int]], space: str | None
) -> FeatureSet:
    normalise = modality is not Modality.TIMESERIES
    if normalise:
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    card = EncoderCard(
        f"sample/{modality}", "shipped", modality, vectors.shape[1], space=space, normalise=normalise
    )
    ids = tuple(f"{modality} {row}" for row in range(len(vectors)))
    item_index = np.array([item for item, rows in enumerate(links) for _ in rows], dtype=np.int64)
    row_index = np.array([row for rows in links for row in rows], dtype=np.int64)
    return FeatureSet(vectors.astype(np.float32), ids, item_index, row_index, card, f"print-{modality}")


@pytest.fixture(scope="session")
def feature_set() -> Callable[..., FeatureSet]:
    """``feature_set(modality, vectors, links, space)``: links[i] lists the rows of item i."""
    return _feature_set


@pytest.fixture(scope="session")
def make_features() -> Callable[..., MomentFeatures]:
    """A world of scenes with a hidden vector each; every modality sees it through its own map and noise.

    Ten classes; the signal knows the class only. One text a scene, ``moments`` images and signals.
    """

    def make(
        scenes: int = 60,
        *,
        moments: int = 2,
        dims: tuple[int, int, int] = (24, 20, 12),
        pre_aligned: bool = False,
        signals: bool = False,
        noise: float = 0.3,
        seed: int = 0,
        logs: int = 0,
    ) -> MomentFeatures:
        rng = np.random.default_rng(seed)
        classes = rng.integers(10, size=scenes)
        hidden = 0.7 * rng.normal(size=(10, 16))[classes] + rng.normal(size=(scenes, 16))
        image_map = rng.normal(size=(16, dims[0]))
        text_map = image_map if pre_aligned else rng.normal(size=(16, dims[1]))
        moment_hidden = np.repeat(hidden, moments, axis=0)
        images = moment_hidden @ image_map
        images += noise * 4 * rng.normal(size=images.shape)
        texts = hidden @ text_map
        texts += noise * 4 * rng.normal(size=texts.shape)
        items = tuple(
            Item(
                id=f"scene-{scene:04d}/{moment}",
                scene_id=f"scene-{scene:04d}",
                timestamp_us=scene * 1_000_000_000 + moment * 5_000_000,
                group=f"log-{scene % logs}" if logs else None,
                metadata={"manoeuvre": str(classes[scene])},
            )
            for scene in range(scenes)
            for moment in range(moments)
        )
        n = len(items)
        space = "shared" if pre_aligned else None
        sets = {
            Modality.IMAGE: _feature_set(Modality.IMAGE, images, [[i] for i in range(n)], space),
            Modality.TEXT: _feature_set(Modality.TEXT, texts, [[i // moments] for i in range(n)], space),
        }
        if signals:
            series = rng.normal(size=(10, dims[2]))[np.repeat(classes, moments)]
            series = (series + 0.3 * rng.normal(size=series.shape)) * np.geomspace(0.01, 100, dims[2])
            sets[Modality.TIMESERIES] = _feature_set(
                Modality.TIMESERIES, series, [[i] for i in range(n)], None
            )
        return MomentFeatures(items, sets)

    return make
