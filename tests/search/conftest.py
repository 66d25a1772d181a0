"""A bundle of stub encoders whose meaning is known: left, right and stop, in words, colours and yaw rates."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from multimodal_search import encoders
from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.errors import SkipInput
from multimodal_search.export.bundle import BundleContents, write_bundle
from multimodal_search.metrics import evaluate
from multimodal_search.projectors.bundle import BundleEncoder, BundleInfo
from multimodal_search.projectors.heads import HeadSpec, Projector
from multimodal_search.settings import TrainSettings
from multimodal_search.splits import make_splits
from multimodal_search.types import EncoderCard, FeatureSet, Item, Modality, MomentFeatures, Series

WORDS = {"left": 0, "左折": 0, "right": 1, "右折": 1, "stop": 2, "停止": 2}
KINDS = ("left", "right", "stop")
COLOURS = {"left": (255, 0, 0), "right": (0, 255, 0), "stop": (0, 0, 255)}
YAW = {"left": 0.5, "right": -0.5, "stop": 0.0}
CHANNELS = ("yaw_rate_radps", "speed_mps")
DIM = 3


class StubEncoder(FrozenEncoder):
    """Counts words, averages colours, averages channels."""

    built = 0

    def __init__(self, card):
        type(self).built += 1
        self.card = card

    @property
    def fingerprint(self):
        return f"stub-{self.card.modality.value}"

    def preprocess(self, raw):
        if isinstance(raw, Series) and not np.isfinite(raw.values).any():
            raise SkipInput("no value in any channel")
        return raw

    def encode(self, ready):
        return np.array([self._one(raw) for raw in ready], dtype=np.float32)

    def _one(self, raw):
        if isinstance(raw, str):
            counts = [0.01] * DIM
            for word, place in WORDS.items():
                counts[place] += raw.count(word)
            return counts
        if isinstance(raw, Image.Image):
            return np.asarray(raw, dtype=float).mean(axis=(0, 1)) / 255
        yaw, speed = (np.nanmean(raw.values[:, raw.channels.index(name)]) for name in CHANNELS)
        return [yaw > 0.1, yaw < -0.1, speed < 1]


def card(modality):
    options = {"channels": list(CHANNELS), "rate_hz": 10.0} if modality is Modality.TIMESERIES else {}
    return EncoderCard(f"stub/{modality.value}", "none", modality, DIM, options=options)


def make_signal(kind, rows=50):
    return np.tile([YAW[kind], 0.0 if kind == "stop" else 8.0], (rows, 1))


def scenes():
    """A moment a scene; scene i does what ``KINDS[i % 3]`` says."""
    items = tuple(
        Item(
            id=f"s{i}/0",
            scene_id=f"s{i}",
            image_path=f"images/{i}.png",
            text=(f"turn {KINDS[i % 3]} number {i}",),
            location="tokyo",
            timestamp_us=i,
            metadata={"manoeuvre": KINDS[i % 3]},
        )
        for i in range(12)
    )
    own = np.arange(12)
    # the scenes' own axis, bent a little, so that each is told from the others
    return items, np.eye(3)[own % 3] + 0.02 * (own // 3)[:, None] * np.eye(3)[(own + 1) % 3]


START_US = 1_532_402_927_000_000


def keyframes():
    """Three drives of 20 keyframes, 0.5 s apart: five left, five stop, five right, five stop again.

    Within its stretch the middle keyframe is the clearest; drive 2 is the clearest of all.
    """
    items, vectors = [], []
    for drive in range(3):
        for frame in range(20):
            kind = ("left", "stop", "right", "stop")[frame // 5]
            items.append(
                Item(
                    id=f"drive-{drive}/{frame:02d}",
                    scene_id=f"drive-{drive}",
                    image_path=f"{drive}/{frame}.png",
                    text=(f"{kind} in drive {drive}",),
                    location=("tokyo", "osaka", "tokyo")[drive],
                    timestamp_us=START_US + drive * 3_600_000_000 + frame * 500_000,
                    metadata={"speed_max": float(frame), **({"wet": True} if drive == 1 else {})},
                )
            )
            blur = 0.05 * abs(frame % 5 - 2) + 0.02 * (3 - drive) + 0.001 * (frame // 15)
            vectors.append(np.eye(3)[KINDS.index(kind)] + blur)
    return tuple(items), np.array(vectors)


def make_bundle(folder, root, modalities=tuple(Modality), world=scenes):
    items, vectors = world()
    own = np.arange(len(items))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    sets = {
        m: FeatureSet(vectors, tuple(f"{m.value}{i}" for i in own), own, own, card(m), f"stub-{m.value}")
        for m in modalities
    }
    features = MomentFeatures(items, sets)
    heads = {m: Projector(HeadSpec("residual", DIM, DIM)).requires_grad_(False).eval() for m in modalities}
    splits = make_splits(items)
    info = BundleInfo(
        encoders={m: BundleEncoder(one.card, one.fingerprint) for m, one in sets.items()},
        heads={m: head.spec for m, head in heads.items()},
        data={"kind": "extracted", "root": str(root)},
    )
    metrics = evaluate(features, lambda m, rows: heads[m].project(rows), splits, baselines=False)
    settings = TrainSettings(use_sample_data=True)
    return write_bundle(BundleContents(info, heads, features, splits, metrics, settings), folder)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """A bundle of all three modalities."""
    return make_bundle(tmp_path_factory.mktemp("bundle"), tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def drives(tmp_path_factory):
    """A bundle of keyframes."""
    return make_bundle(tmp_path_factory.mktemp("drives"), tmp_path_factory.mktemp("data"), world=keyframes)


@pytest.fixture(scope="session")
def builder():
    """``make_bundle``."""
    return make_bundle


@pytest.fixture(scope="session")
def signal():
    """``make_signal``."""
    return make_signal


@pytest.fixture
def stub(monkeypatch):
    """Encoders are built by name of the stub."""
    StubEncoder.built = 0
    monkeypatch.setattr(encoders, "build_from_card", lambda known, device: StubEncoder(known))
    return StubEncoder
