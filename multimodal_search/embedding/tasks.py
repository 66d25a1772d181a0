"""What coordinator and workers of bulk embedding hand to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from multimodal_search.tables import PartInfo, TableInfo
from multimodal_search.types import EncoderCard, Input

Stage = Literal["reading", "decoding", "model", "writing"]


@dataclass(frozen=True, slots=True)
class PartTask:
    """A part to compute: written whole under its name, however often that is tried.

    Attributes:
        name: of the part; a function of the inputs it was planned with.
        sequence: its place in the table.
        inputs: those to compute; others of the plan may be in the table already.
        info: what all rows of the table have in common.
        planned: how many inputs the part was planned with, those included that the table holds elsewhere.
        excluded: input id -> why it is left out and listed (it ends the process that decodes it).
    """

    name: str
    sequence: int
    inputs: tuple[Input, ...]
    info: TableInfo
    planned: int
    excluded: Mapping[str, str] = field(default_factory=dict)

    def without(self, excluded: Mapping[str, str]) -> PartTask:
        """The same part, less these inputs."""
        return replace(self, excluded={**self.excluded, **excluded})


@dataclass(frozen=True, slots=True)
class Hello:
    """What the coordinator learns of a worker's encoder.

    Attributes:
        decode_at_least_px: (height, width) that pictures may be decoded down to; None for exact decoding.
    """

    card: EncoderCard
    fingerprint: str
    device: str
    precision: str
    decode_at_least_px: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Progress:
    """Since the last report of this worker.

    Attributes:
        rows: inputs that went through, unusable ones included.
        failed: of them, those without a vector.
        seconds: stage -> seconds the worker's pipe waited for it.
    """

    rows: int
    failed: int
    seconds: Mapping[Stage, float]


@dataclass(frozen=True, slots=True)
class PartDone:
    """A part is in the table's store."""

    part: PartInfo
    failed: int
    progress: Progress
