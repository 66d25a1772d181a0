"""Small data folders, written by the tests themselves, and the place of the real ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def picture() -> Callable[[Path], None]:
    """Writes a small picture, folders included."""

    def write(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (10, 200, 30)).save(path)

    return write


@pytest.fixture
def data_dir(tmp_path: Path, picture: Callable[[Path], None]) -> Callable[..., Path]:
    """Writes an extracted folder with these records; pictures and signals of ``scene_id``s where asked."""

    def write(
        records: list[Any] | dict[str, Any] | str | bytes,
        *,
        images: bool = True,
        series: tuple[str, ...] = (),
        channels: dict[str, Any] | str | None = None,
    ) -> Path:
        root = tmp_path / "data"
        (root / "timeseries").mkdir(parents=True)
        if isinstance(records, bytes):
            (root / "scenes_metadata.json").write_bytes(records)
        else:
            text = records if isinstance(records, str) else json.dumps(records, ensure_ascii=False)
            (root / "scenes_metadata.json").write_text(text, encoding="utf-8")
        if images and isinstance(records, list):
            for record in records:
                path = record.get("image_path") if isinstance(record, dict) else None
                if isinstance(path, str) and path and "://" not in path and ".." not in path:
                    picture(root / path)
        for scene_id in series:
            np.save(root / "timeseries" / f"{scene_id}.npy", np.ones((20, 3)))
        if channels is not None:
            text = channels if isinstance(channels, str) else json.dumps(channels)
            (root / "timeseries" / "channels.json").write_text(text, encoding="utf-8")
        return root

    return write
