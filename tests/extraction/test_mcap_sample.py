"""The sample world as MCAP comes back as it was, from every encoding and every kind of container."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mcap")

from mcap.writer import CompressionType, IndexType

from multimodal_search.cli import main
from multimodal_search.extraction.mcap_sample import ENCODINGS, write_drive, write_mcap
from multimodal_search.sources.extracted import ExtractedSource
from multimodal_search.sources.sample.render import jpeg, render
from multimodal_search.sources.sample.signals import CHANNELS, make_series
from multimodal_search.sources.sample.texts import descriptions
from multimodal_search.sources.sample.world import make_scenes

SCENES = 6  # two drives


def _extract(*arguments: str) -> int:
    return main(["extract", "--text-topic", "/events", *arguments])


def _check(folder: Path, *, scenes: int = SCENES) -> None:
    """The folder holds the sample world."""
    records = json.loads((folder / "scenes_metadata.json").read_text(encoding="utf-8"))
    layout = json.loads((folder / "timeseries/channels.json").read_text())
    assert layout["channels"] == list(CHANNELS)
    assert layout["units"] == ["m/s", "m/s2", "rad/s", "rad", "1", "1"]
    of_sample: Mapping[str, Any] = {record["metadata"]["sample"]: record for record in records}
    assert len(records) == len(of_sample) == scenes
    for scene in make_scenes(scenes, 0):
        record = of_sample[scene.scene_id]
        table = np.load(folder / f"timeseries/{record['scene_id']}.npy")
        assert table.dtype == np.float64
        np.testing.assert_allclose(table, make_series(scene).values, atol=1e-6, rtol=0)
        assert round(datetime.fromisoformat(record["timestamp"]).timestamp() * 1e6) == scene.start_us
        assert record["description"] == list(descriptions(scene))
        assert record["log"] == scene.log
        assert record["location"] == scene.location
        assert record["metadata"]["manoeuvre"] == scene.manoeuvre
        assert (folder / record["image_path"]).read_bytes() == jpeg(render(scene, "CAM_FRONT"))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_comes_back_as_it_was(encoding: str, tmp_path: Path) -> None:
    write_mcap(tmp_path / "recordings", encoding=encoding, scenes=SCENES)
    assert _extract("--mcap", str(tmp_path / "recordings"), "--output-dir", str(tmp_path / "out")) == 0
    _check(tmp_path / "out")
    source = ExtractedSource(tmp_path / "out")
    items = source.items()
    assert len({item.group for item in items}) == 2  # the recording, which splits keep together
    series = source.series(items[0])
    assert series is not None
    assert series.channels == CHANNELS


CONTAINERS: Mapping[str, Mapping[str, Any]] = {
    "zstd": {"compression": CompressionType.ZSTD},
    "lz4": {"compression": CompressionType.LZ4, "chunk_size": 20_000},
    "not packed": {"compression": CompressionType.NONE, "chunk_size": 5_000},
    "no chunks": {"use_chunking": False},
    "no index": {"index_types": IndexType.NONE, "chunk_size": 20_000},
    "no summary": {"index_types": IndexType.NONE, "use_statistics": False, "repeat_channels": False,
                   "repeat_schemas": False, "use_summary_offsets": False},
    "no repeated channels": {"repeat_channels": False, "repeat_schemas": False},
}  # fmt: skip


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_comes_back_as_it_was(container: str, tmp_path: Path) -> None:
    content = io.BytesIO()
    write_drive(content, make_scenes(2, 0), "protobuf", **CONTAINERS[container])
    path = tmp_path / f"{make_scenes(1, 0)[0].log}.mcap"
    path.write_bytes(content.getvalue())
    assert _extract("--mcap", str(path), "--output-dir", str(tmp_path / "out")) == 0
    _check(tmp_path / "out", scenes=2)


def test_the_command_writes_it_and_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "recordings"
    flags = ["sample", "--format", "mcap", "--scenes", "2", "--encoding", "json", "--out", str(folder)]
    assert main(flags) == 0
    assert "extract --mcap" in capsys.readouterr().out
    assert _extract("--mcap", str(folder), "--output-dir", str(tmp_path / "out")) == 0
    _check(tmp_path / "out", scenes=2)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.mcap")}
    assert main([*flags[:4], "7", *flags[5:]]) == 0  # a larger world in the same folder
    assert len(list(folder.glob("*.mcap"))) > len(before)
