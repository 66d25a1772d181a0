"""A folder that is sent and fetched, and an S3 that is asked again at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from multimodal_search.storage import s3_requests

FILES = {"bundle.json": b'{"a": 1}', "vectors/part-1.npy": b"\x93" * 5000, "zz.txt": b"z", "empty": b""}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_requests, "_FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(s3_requests, "_outage", s3_requests._Outage())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds ``FILES``."""
    return fill(tmp_path / "folder", FILES)


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files into a folder, others of it stay."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
