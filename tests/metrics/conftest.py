"""A small world of features: each scene has a hidden vector that every modality shows in its own way."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal_search.splits import Splits
from multimodal_search.types import EncoderCard, FeatureSet, Item, Modality, MomentFeatures

MANOEUVRES = ("left", "right", "stop", "straight")


def _unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def make_features(scenes=120, moments=2, logs=30, noise=0.3, seed=0, japanese=True, space=None):
    generator = np.random.default_rng(seed)
    hidden = generator.normal(size=(scenes, 12))
    mix = {m: generator.normal(size=(12, 24)) for m in Modality}
    items, image, series = [], [], []
    for scene in range(scenes):
        kind = MANOEUVRES[int(np.argmax(hidden[scene, :4]))]
        texts = (
            (f"scene {scene} goes {kind}", f"場面{scene}は{kind}")
            if japanese
            else (f"scene {scene} goes {kind}",)
        )
        for moment in range(moments):
            items.append(
                Item(
                    id=f"s{scene}/{moment}",
                    scene_id=f"s{scene}",
                    timestamp_us=1_532_402_927_000_000 + scene * 3_600_000_000 + moment * 500_000,
                    image_path=f"images/{scene}_{moment}.jpg",
                    text=texts,
                    location=("boston", "singapore")[scene % 2],
                    group=f"log{scene % logs}",
                    metadata={"manoeuvre": kind, "log": f"log{scene % logs}", "number": scene},
                )
            )
            image.append(hidden[scene] @ mix[Modality.IMAGE] + noise * generator.normal(size=24))
            series.append(hidden[scene] @ mix[Modality.TIMESERIES] + noise * generator.normal(size=24))
    text_ids = [text for item in items[::moments] for text in item.text]
    variants = len(items[0].text)
    text_mix = mix[Modality.IMAGE] if space else mix[Modality.TEXT]
    text = np.repeat(hidden @ text_mix, variants, axis=0)
    text = text + 0.05 * generator.normal(size=text.shape)
    own = np.arange(len(items))
    linked = np.repeat(own // moments * variants, variants) + np.tile(np.arange(variants), len(items))

    def card(name, modality, normalise=True):
        shared = space if modality is not Modality.TIMESERIES else None
        return EncoderCard(name, "random", modality, 24, space=shared, normalise=normalise)

    sets = {
        Modality.IMAGE: FeatureSet(
            _unit(np.array(image)),
            tuple(i.image_path for i in items),
            own,
            own,
            card("a/i", Modality.IMAGE),
            "fi",
        ),
        Modality.TEXT: FeatureSet(
            _unit(text), tuple(text_ids), np.repeat(own, variants), linked, card("a/t", Modality.TEXT), "ft"
        ),
        Modality.TIMESERIES: FeatureSet(
            np.array(series, dtype=np.float32) * 100 + 5,
            tuple(i.id for i in items),
            own,
            own,
            card("timeseries/kernels", Modality.TIMESERIES, normalise=False),
            "fs",
        ),
    }
    return MomentFeatures(tuple(items), sets), mix


@pytest.fixture(scope="session")
def world():
    """Builder of (features, mixing matrices)."""
    return make_features


@pytest.fixture(scope="session")
def oracle():
    """Heads that undo the mixing."""

    def build(mix):
        inverse = {m: np.linalg.pinv(one) for m, one in mix.items()}

        def project(modality, vectors):
            plain = (vectors - 5) / 100 if modality is Modality.TIMESERIES else vectors
            return plain @ inverse[modality]

        return project

    return build


@pytest.fixture(scope="session")
def thirds():
    """Splits of n scenes whose logs (``log<n % logs>``) stay whole."""

    def build(scenes=120, logs=30):
        by_log = {k: [f"s{i}" for i in range(scenes) if i % logs == k] for k in range(logs)}
        cut = [logs * 5 // 10, logs * 6 // 10]
        train, val, test = (
            [scene for k in span for scene in by_log[k]]
            for span in (range(cut[0]), range(cut[0], cut[1]), range(cut[1], logs))
        )
        return Splits(tuple(train), tuple(val), tuple(test))

    return build
