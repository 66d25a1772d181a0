"""An input that ends the process that decodes it is found and left out; the rest of its part is kept."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from multimodal_search.embedding import rescue as rescue_module
from multimodal_search.embedding.rescue import REASON, find_culprits, rescue
from multimodal_search.embedding.tasks import PartTask
from multimodal_search.storage import S3Options
from multimodal_search.tables import TableInfo
from multimodal_search.types import EncoderCard, Input, Modality

INPUTS = [Input(f"{number}.jpg") for number in range(12)]


class DiesOn:
    """Ends its process on some ids, raises on another."""

    def __init__(self, *ids: str) -> None:
        self._ids = ids

    def __call__(self, one: Input) -> None:
        if one.id in self._ids:
            os.kill(os.getpid(), signal.SIGSEGV)
        if one.id == "5.jpg":
            raise ValueError("a plain failure is not a culprit")


@pytest.mark.parametrize("deadly", [(), ("0.jpg",), ("3.jpg", "4.jpg", "11.jpg")])
def test_exactly_the_deadly_inputs_are_found(deadly: tuple[str, ...]) -> None:
    assert [one.id for one in find_culprits(INPUTS, DiesOn(*deadly))] == list(deadly)


def task(modality: Modality) -> PartTask:
    card = EncoderCard("test/x", "none", modality, 4)
    return PartTask("part-x", 0, tuple(INPUTS), TableInfo("f", 4, card), len(INPUTS))


def test_the_task_comes_back_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescue_module, "_Decode", lambda s3, at_least_px: DiesOn("7.jpg"))
    rescued = rescue(task(Modality.IMAGE), S3Options(), None)
    assert rescued is not None
    assert dict(rescued.excluded) == {"7.jpg": REASON}
    assert rescued.inputs == tuple(INPUTS)


def test_where_decoding_is_not_to_blame_nothing_is_rescued(tmp_path: Path) -> None:
    assert rescue(task(Modality.IMAGE), S3Options(), None) is None
    assert rescue(task(Modality.TEXT), S3Options(), None) is None
