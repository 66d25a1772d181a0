"""One text a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from multimodal_search.errors import DataError
from multimodal_search.sources.identity import text_key
from multimodal_search.sources.inputs import Inputs
from multimodal_search.types import Modality

Opened = Callable[..., Inputs]


def test_texts_are_their_own_ids(tmp_path: Path, opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(
        "\ufeffa car \r\n\n雨が降る\u3000\nbad \xff\n  a car\nlast".encode("utf-8").replace(
            b"\xc3\xbf", b"\xff"
        )
    )
    inputs = opened(text_file=path)
    assert [one.id for one in inputs] == ["a car", "雨が降る", "last"]
    assert [one.key for one in inputs] == [text_key(one) for one in ("a car", "雨が降る", "last")]
    assert {one.location for one in inputs} == {""}
    assert inputs.modality is Modality.TEXT
    assert "1 lines repeat" in caplog.text
    assert [(one.id, one.reason) for one in inputs.failures] == [
        ("bad \\xff", f"line 3 of {path} is not UTF-8")
    ]


@pytest.mark.parametrize(
    ("content", "told"), [(b"", "empty"), (b"\n\n", "blank"), (b"\xff\n\xfe\xfd\n", "UTF-8")]
)
def test_no_texts(tmp_path: Path, opened: Opened, content: bytes, told: str) -> None:
    (tmp_path / "texts.txt").write_bytes(content)
    with pytest.raises(DataError, match=told):
        next(iter(opened(text_file=tmp_path / "texts.txt")))
