"""``extract --mcap`` as a user sees it: messages, bad input, and what survives a kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mcap")

from multimodal_search.cli import main
from multimodal_search.extraction.mcap_sample import write_mcap as write_sample

Write = Callable[..., Path]
Speeds = Callable[..., list[tuple[str, int, Any]]]


class Extract:
    """Runs the command; ``out`` and ``err`` are what it said."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.out = self.err = ""

    def __call__(self, *arguments: object) -> int:
        code = main(["extract", "--output-dir", str(self.folder), *map(str, arguments)])
        self.out, self.err = self._capsys.readouterr()
        return code

    @property
    def records(self) -> list[dict[str, Any]]:
        return list(json.loads((self.folder / "scenes_metadata.json").read_text()))

    def table(self, index: int = 0) -> Any:
        return np.load(self.folder / f"timeseries/{self.records[index]['scene_id']}.npy")

    @property
    def failures(self) -> list[str]:
        return [
            json.loads(line)["reason"] for line in (self.folder / "failures.jsonl").read_text().splitlines()
        ]


@pytest.fixture
def extract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Extract:
    return Extract(tmp_path / "out", capsys)


def test_windows_are_items_of_their_recording(extract: Extract, write_mcap: Write, speeds: Speeds) -> None:
    assert extract("--mcap", write_mcap(speeds(60))) == 0
    assert [one["scene_id"] for one in extract.records] == [f"drive_000{n}0.000" for n in range(5)]
    assert {one["log"] for one in extract.records} == {"drive"}
    assert [one["metadata"]["start_seconds"] for one in extract.records] == [0, 10, 20, 30, 40]
    assert extract.records[1]["timestamp"] == "2001-09-09T01:46:50+00:00"
    np.testing.assert_allclose(extract.table(2)[:, 0], 20 + np.arange(200) / 10, atol=1e-9)
    assert "speed_mps <- /speed.speed_mps [m/s]" in extract.out
    assert "train.py --data-dir" in extract.out


def test_length_stride_rate_and_number_are_settings(
    extract: Extract, write_mcap: Write, speeds: Speeds
) -> None:
    path = write_mcap(speeds(60, rate_hz=50))
    flags = ["--window-seconds", 5, "--stride-seconds", 2.5, "--rate-hz", 20, "--num-scenes", 3]
    assert extract("--mcap", path, *flags) == 0
    assert [one["metadata"]["start_seconds"] for one in extract.records] == [0, 2.5, 5]
    assert extract.table(0).shape == (100, 1)
    layout = json.loads((extract.folder / "timeseries/channels.json").read_text())
    assert layout == {"channels": ["speed_mps"], "units": ["m/s"], "rate_hz": 20}
    assert extract("--mcap", path, "--rate-hz", 0) == 2
    assert "--rate-hz" in extract.err


def test_a_map_names_signals_and_the_clock(extract: Extract, write_mcap: Write, tmp_path: Path) -> None:
    def stamped(t: int) -> dict[str, Any]:  # the sender's clock is an hour ahead of the recorder's
        stamp = {"sec": 10**9 + 3600 + t // 10, "nanosec": t % 10 * 10**8}
        return {"header": {"stamp": stamp}, "v": {"x": 36.0 * t}}

    messages: list[Any] = [("/odom", 10**18 + t * 10**8, stamped(t)) for t in range(200)]
    messages.insert(50, ("/odom", 10**18 + 49 * 10**8, {"v": {"x": 0.0}}))  # no stamp
    messages.insert(60, ("/odom", 10**18 + 58 * 10**8, {"header": {"stamp": {"sec": 5}}, "v": {"x": 0.0}}))
    path = tmp_path / "map.yaml"
    path.write_text("time: header\nsignals:\n  tempo: {field: /odom.v.x, unit: km/h}\n")
    assert extract("--mcap", write_mcap(messages), "--map", path) == 0
    [record] = extract.records
    assert record["timestamp"] == "2001-09-09T02:46:40+00:00"
    np.testing.assert_allclose(extract.table()[:, 0], 10.0 * np.arange(200), atol=1e-6)
    assert any("without a stamp" in one for one in extract.failures)
    assert any("more than a minute off" in one for one in extract.failures)


def test_a_list_of_what_is_there(extract: Extract, write_mcap: Write, speeds: Speeds) -> None:
    path = write_mcap(
        [*speeds(20), ("/odd", 10**18, b"\x01")],
        types={"/speed": "can/Speed"},
        metadata=[("drive", {"a": "b"})],
    )
    assert extract("--mcap", path, "--list") == 0
    [row] = [line.split() for line in extract.out.splitlines() if line.strip().startswith("/speed ")]
    assert row == ["/speed", "can/Speed", "json", "200", "10"]
    assert "201 messages; 19.9 s from 2001-09-09 01:46:40 UTC" in extract.out
    assert "metadata records: drive" in extract.out
    assert "/speed: speed_mps" in extract.out
    assert "does not decode" in extract.out
    assert not extract.folder.exists()


def test_texts_and_labels_reach_the_windows(
    extract: Extract, write_mcap: Write, speeds: Speeds, tmp_path: Path
) -> None:
    events = [("/events", 10**18 + 12 * 10**9, {"data": "A bus cuts in"})]
    side = tmp_path / "texts.csv"
    side.write_text(
        "file,start_seconds,end_seconds,text,manoeuvre\ndrive.mcap,20,40,Turns left,turn_left\nx.mcap,,,y,\n"
    )
    path = write_mcap([*speeds(60), *events], metadata=[("drive", {"weather": "rain", "location": "tokyo"})])
    assert extract("--mcap", path, "--text-topic", "/events", "--text-csv", side) == 0
    first, _, third, *_ = extract.records
    assert first["description"] == ["A bus cuts in"]
    assert third["description"] == ["Turns left"]
    assert third["metadata"]["manoeuvre"] == "turn_left"
    assert (first["location"], first["metadata"]["weather"]) == ("tokyo", "rain")
    assert "'x.mcap', which is none of the recordings" in extract.out


def test_sentences_for_windows_that_nobody_described(
    extract: Extract, write_mcap: Write, speeds: Speeds
) -> None:
    assert extract("--mcap", write_mcap(speeds(20)), "--describe") == 0
    [record] = extract.records
    assert record["description"]
    assert record["metadata"]["description_source"].startswith("generated")


def test_what_cannot_be_used_is_counted_and_the_rest_is_kept(
    extract: Extract, write_mcap: Write, speeds: Speeds
) -> None:
    messages = speeds(20)
    messages[10] = ("/speed", messages[10][1], b"{broken")
    messages[20] = ("/speed", messages[20][1], {"other": 1})
    messages[30] = ("/speed", messages[30][1], {"speed_mps": None})
    messages[40] = ("/speed", messages[39][1], {"speed_mps": 3.9})  # the same stamp twice
    path = write_mcap(messages, name="a.mcap")
    bad = write_mcap([], name="b.mcap")
    bad.write_bytes(b"")
    cut = write_mcap(speeds(20, start_ns=2 * 10**18), name="c.mcap", chunk_size=500)
    cut.write_bytes(cut.read_bytes()[:3000])
    assert extract("--mcap", path, bad, cut) == 0
    np.testing.assert_allclose(extract.table(0)[:, 0], np.arange(200) / 10, atol=1e-6)
    assert any("does not decode" in one for one in extract.failures)
    assert any("without the number speed_mps" in one for one in extract.failures)
    assert any("empty (0 bytes)" in one for one in extract.failures)
    assert any("truncated" in one for one in extract.failures)
    assert [one["log"] for one in extract.records] == ["a", "c"]  # what came before the break


@pytest.mark.parametrize(
    ("options", "flags", "what"),
    [
        ({"encoding": "cbor"}, ["--map", "{map}"], "'cbor' is not known"),
        ({"encoding": "cdr", "schema": False}, ["--map", "{map}"], "no schema"),
        ({}, ["--map", "none.yaml"], "no map 'none.yaml'"),
        ({}, ["--map", "can", "--image-topics", "/cam"], "no topic /cam|No recording has a topic /cam"),
        ({}, ["--text-topic", "/evnts"], "No recording has a topic /evnts"),
        ({}, ["--map", "{bad}"], "no field speed"),
    ],
)
def test_mistakes_are_explained(
    extract: Extract,
    write_mcap: Write,
    speeds: Speeds,
    tmp_path: Path,
    options: dict[str, Any],
    flags: list[str],
    what: str,
) -> None:
    (tmp_path / "map.yaml").write_text("signals: {speed: /speed.speed_mps}")
    (tmp_path / "bad.yaml").write_text("signals: {speed: /speed.speed}")
    path = write_mcap(speeds(5), **options)
    named = [one.format(map=tmp_path / "map.yaml", bad=tmp_path / "bad.yaml") for one in flags]
    assert extract("--mcap", path, *named) == 2
    assert re.search(what, extract.err)
    assert "to do:" in extract.err
    assert not extract.folder.exists()


def test_a_list_says_why_a_topic_cannot_be_read(extract: Extract, write_mcap: Write, speeds: Speeds) -> None:
    assert extract("--mcap", write_mcap(speeds(1), encoding="cbor"), "--list") == 0
    assert "'cbor' is not known; json, protobuf, ros1, cdr" in extract.out
    assert extract("--mcap", write_mcap(speeds(1), encoding="ros1", schema=False), "--list") == 0
    assert "no schema" in extract.out


def test_a_recording_without_anything_to_take_says_how_to_name_it(
    extract: Extract, write_mcap: Write
) -> None:
    assert extract("--mcap", write_mcap([("/mouse", 1, {"x": 1})])) == 2
    assert "--guess" in extract.err
    assert "--list" in extract.err


def test_another_setting_or_a_changed_file_is_not_mixed_in(
    extract: Extract, write_mcap: Write, speeds: Speeds
) -> None:
    path = write_mcap(speeds(20))
    assert extract("--mcap", path) == 0
    assert extract("--mcap", path, "--rate-hz", 5) == 2
    assert "rate_hz was 10.0, is 5.0" in extract.err
    write_mcap(speeds(30))
    assert extract("--mcap", path) == 2
    assert "changed" in extract.err
    assert extract("--mcap", path, "--overwrite", "--num-scenes", 1) == 0
    write_mcap(speeds(40))  # also while only a part is there
    assert extract("--mcap", path) == 2
    assert extract("--mcap", path, "--overwrite") == 0
    assert extract("--mcap", path, write_mcap(speeds(20), name="more.mcap")) == 0
    assert {one["log"] for one in extract.records} == {"drive", "more"}


def test_an_edited_map_is_not_mixed_in(
    extract: Extract, write_mcap: Write, speeds: Speeds, tmp_path: Path
) -> None:
    own, path = tmp_path / "map.yaml", write_mcap(speeds(20))
    own.write_text("signals: {v: /speed.speed_mps}")
    assert extract("--mcap", path, "--map", own) == 0
    own.write_text("signals: {v: {field: /speed.speed_mps, unit: km/h}}")
    assert extract("--mcap", path, "--map", own) == 2
    assert "signal_map was" in extract.err


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(tmp_path: Path) -> None:
    recordings = write_sample(tmp_path / "recordings", encoding="json", scenes=15, progress=False)
    command = [sys.executable, "-m", "multimodal_search", "extract", "--text-topic", "/events"]
    command += ["--mcap", str(recordings), "--window-seconds", "5", "--stride-seconds", "1"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command, "--output-dir", str(whole)], check=True, capture_output=True)
    kills = 0
    for windows in (3, 20, 60, 110):
        run = subprocess.Popen(
            [*command, "--output-dir", str(killed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while len(list(killed.glob("timeseries/*.npy"))) < windows and run.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        if run.poll() is None:
            os.kill(run.pid, signal.SIGKILL)
            kills += 1
        run.wait()
    subprocess.run([*command, "--output-dir", str(killed)], check=True, capture_output=True)
    assert kills >= 2
    names = {path.relative_to(whole) for path in whole.rglob("*") if not path.name.startswith(".")}
    assert {path.relative_to(killed) for path in killed.rglob("*") if not path.name.startswith(".")} == names
    for name in names:
        if (whole / name).is_file():
            assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert not list(killed.rglob("*.tmp"))
