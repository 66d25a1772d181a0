"""A bundle's contents: two cities, four manoeuvres, three modalities, heads of 8 dimensions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from multimodal_search.export.bundle import BundleContents
from multimodal_search.metrics import evaluate
from multimodal_search.projectors.bundle import BundleEncoder, BundleInfo
from multimodal_search.projectors.heads import HeadSpec, Projector
from multimodal_search.settings import TrainSettings
from multimodal_search.splits import make_splits
from multimodal_search.types import EncoderCard, Failure, FeatureSet, Item, Modality, MomentFeatures

KINDS = ("left", "right", "stop", "straight")
DIMS = {Modality.IMAGE: 6, Modality.TEXT: 5, Modality.TIMESERIES: 4}


def make_items(scenes, moments):
    return tuple(
        Item(
            id=f"scene-{s:04d}/{m}",
            scene_id=f"scene-{s:04d}",
            timestamp_us=1_532_402_927_000_000 + s * 10**9 + m * 500_000 if s % 2 else None,
            image_path=f"images/場面 {s}_{m}.jpg",
            text=(f'A car "turns"\n{KINDS[s % 4]} {s}', f"車が曲がる {s}") if s else (),
            location=("boston", "singapore")[s % 2],
            group=f"log{s // 3}",
            metadata={
                "manoeuvre": KINDS[s % 4],
                "weather": ("rain", "clear", "fog")[s % 3],
                "odd": float("nan"),
            },
        )
        for s in range(scenes)
        for m in range(moments)
    )


def make_features(scenes=24, moments=2, seed=0, modalities=tuple(Modality)):
    generator = np.random.default_rng(seed)
    items = make_items(scenes, moments)
    hidden = np.eye(4)[np.arange(scenes) % 4] + 0.3 * generator.normal(size=(scenes, 4))
    sets = {}
    for modality in modalities:
        if modality is Modality.TEXT:
            owners = np.array([i for i, item in enumerate(items) if item.text], dtype=np.int64)
            ids = tuple(dict.fromkeys(item.text[0] for item in items if item.text))
            rows = np.array([ids.index(items[i].text[0]) for i in owners], dtype=np.int64)
            source = np.array([int(text.rsplit(" ", 1)[1]) for text in ids], dtype=np.int64)
        else:
            owners = rows = np.arange(len(items))
            source = rows // moments
            ids = tuple(item.image_path if modality is Modality.IMAGE else item.id for item in items)
        values = hidden[source] @ generator.normal(size=(4, DIMS[modality]))
        card = EncoderCard(f"stub/{modality.value}", "random", modality, DIMS[modality], licence="Apache-2.0")
        sets[modality] = FeatureSet(
            values.astype(np.float32), ids, owners, rows, card, f"fp-{modality.value}"
        )
    failures = (Failure("x", "images/x.jpg", "image missing"), Failure("y", "images/y.jpg", "image missing"))
    return MomentFeatures(items, sets, failures)


def make_contents(features, history=(), notes=("the heads are untrained",), root="data"):
    torch.manual_seed(0)
    heads = {m: Projector(HeadSpec("linear", DIMS[m], 8)).requires_grad_(False).eval() for m in features.sets}
    info = BundleInfo(
        encoders={m: BundleEncoder(one.card, one.fingerprint) for m, one in features.sets.items()},
        heads={m: head.spec for m, head in heads.items()},
        logit_scales={"image-text": 14.3},
        data={
            "kind": "extracted",
            "root": root,
            "n_items": len(features.items),
            "modalities": [*features.sets],
        },
        licence="CC-BY-4.0",
        notes=notes,
    )
    splits = make_splits(features.items)
    metrics = evaluate(features, lambda m, rows: heads[m].project(rows), splits)
    return BundleContents(
        info=info,
        projectors=heads,
        features=features,
        splits=splits,
        metrics=metrics,
        settings=TrainSettings(use_sample_data=True, seed=3),
        history=history,
        chosen={"image": "trained (epoch 7)", "series_encoder_scores": {"timeseries/kernels": 0.5}},
    )


def make_history(epochs=12):
    rise = 1 - np.exp(-np.arange(epochs + 1) / 3)
    return [
        {
            "epoch": float(e),
            "val/mrr": 0.3 + 0.5 * rise[e] - 0.01 * max(0, e - 8),
            "val/image->text": 0.4 * rise[e],
        }
        | ({"train/loss": 3 - 2 * rise[e]} if e else {})
        for e in range(epochs + 1)
    ]


@pytest.fixture(scope="session")
def features():
    """Builder of MomentFeatures."""
    return make_features


@pytest.fixture(scope="session")
def contents():
    """Builder of BundleContents."""
    return make_contents


@pytest.fixture(scope="session")
def history():
    """Builder of a training history."""
    return make_history
