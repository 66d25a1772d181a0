"""A frozen encoder and a source that need no model: numpy only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.errors import SkipInput
from multimodal_search.storage import content_key, is_s3
from multimodal_search.tables import TableInfo
from multimodal_search.types import EncoderCard, Failure, Item, Modality, Series


class StubEncoder(FrozenEncoder):
    """Hashes what it is given; counts what it was asked for; breaks where it is told to.

    Its output depends on the batch in the last bits, as a real model's does.
    """

    def __init__(self, modality: Modality = Modality.TEXT, dim: int = 8, name: str = "stub/hash") -> None:
        self.card = EncoderCard(name, "none", modality, dim, normalise=modality is not Modality.TIMESERIES)
        self.seen: list[Any] = []
        self.batches: list[int] = []
        self.breaks_on: set[Any] = set()
        self.not_finite: set[Any] = set()
        self.zero: set[Any] = set()
        self.too_many = 10**9

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.card.name.encode()).hexdigest()

    def preprocess(self, raw: Any) -> Any:
        if raw == "unusable":
            raise SkipInput("preprocess refuses it")
        if isinstance(raw, Series):
            return raw.values.tobytes()
        return raw if isinstance(raw, str) else np.asarray(raw).tobytes()

    def encode(self, ready: Sequence[Any]) -> np.ndarray:
        self.batches.append(len(ready))
        if len(ready) > self.too_many:
            raise MemoryError(f"{len(ready)} inputs")
        if any(one in self.breaks_on for one in ready):
            raise RuntimeError("broken input")
        self.seen += ready
        vectors = np.stack([self.vector(one) for one in ready]) * np.float32(1 + len(ready) / 1000)
        vectors[[one in self.not_finite for one in ready]] = np.nan
        vectors[[one in self.zero for one in ready]] = 0
        return vectors

    def vector(self, ready: Any) -> np.ndarray:
        raw = ready if isinstance(ready, bytes) else repr(ready).encode()
        seed = int.from_bytes(hashlib.sha256(raw).digest()[:8], "little")
        return np.random.default_rng(seed).standard_normal(self.card.dim).astype(np.float32)


class StubSource:
    """Items as given; signals from a mapping, where a string is the reason to skip one."""

    kind = "stub"
    licence = None
    official_splits = None

    def __init__(self, root: Path, items: list[Item], signals: dict[str, Any] | None = None) -> None:
        self.root = root
        self.failures: list[Failure] = []
        self._items = items
        self.signals = signals or {}

    def items(self) -> list[Item]:
        return self._items

    def image_file(self, path: str) -> Path | str:
        return path if is_s3(path) else self.root / path

    def image_key(self, path: str) -> str:
        return content_key(self.image_file(path))

    def series(self, item: Item) -> Series | None:
        found = self.signals.get(item.id)
        if isinstance(found, str):
            raise SkipInput(found)
        return found


@pytest.fixture
def stub_encoder() -> type[StubEncoder]:
    return StubEncoder


@pytest.fixture
def stub_source() -> type[StubSource]:
    return StubSource


@pytest.fixture
def table_info() -> Any:
    """The table of an encoder."""
    return lambda encoder: TableInfo(
        encoder.fingerprint, encoder.card.dim, encoder.card, normalised=encoder.card.normalise
    )
