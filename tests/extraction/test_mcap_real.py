"""What each real recording yields: counts and figures that were looked at once and are right."""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mcap")

from mcap.reader import make_reader

from multimodal_search.cli import main
from multimodal_search.errors import SkipInput
from multimodal_search.extraction.mcap_decoding import Decoders
from multimodal_search.extraction.mcap_reading import read_messages
from multimodal_search.extraction.mcap_survey import Survey, survey

# file -> messages, messages that decode, topics with messages
YIELDS = {
    "derived/autoware_bus_ego_trajectory.mcap": (2130, 2130, 1),
    "derived/autoware_bus_turn_right.mcap": (2819, 2819, 1),
    "derived/comma2k19_segment40_json.mcap": (28013, 28013, 6),
    "derived/lichtblick_example_bz2_ros1.mcap": (8647, 8647, 9),
    "derived/nuscenes_scene-0061_can_json.mcap": (226, 226, 2),
    "derived/nuscenes_scene-0757_can_json.mcap": (240, 240, 2),
    "derived/nuscenes_scene-1094_can_json.mcap": (234, 234, 2),
    "derived/pr2_tilt_laser_ros1.mcap": (4093, 4093, 9),
    "foxglove_conformance/OneAttachment-ax-pad-st-sum.mcap": (0, 0, 0),
    "foxglove_conformance/OneAttachment.mcap": (0, 0, 0),
    "foxglove_conformance/OneMessage-ch-chx-mx-pad-rch-rsh-st-sum.mcap": (1, 0, 1),  # encoding "a"
    "foxglove_conformance/OneMessage.mcap": (1, 0, 1),
    "foxglove_conformance/OneMetadata-mdx-pad-st-sum.mcap": (0, 0, 0),
    "foxglove_conformance/TenMessages-ch-chx-mx-pad-rch-rsh-st-sum.mcap": (10, 0, 1),
    "foxglove_conformance/TenMessages-ch.mcap": (10, 0, 1),
    "foxglove_conformance/TenMessages.mcap": (10, 0, 1),
    "foxglove_conformance/TenMessagesOneAttachment-ax-ch-chx-mx-pad-rch-rsh-st-sum.mcap": (10, 0, 1),
    "lichtblick/example.mcap": (111, 111, 1),
    "lichtblick/example_logs.mcap": (1111, 1111, 2),
    "mcap_arrow/test.mcap": (1, 0, 1),  # a schema in "cdr"
    "plotjuggler/test_bad_schema.mcap": (20, 10, 2),  # the other ten have a schema that is none
    "plotjuggler/test_embedded_timestamp.mcap": (50, 0, 1),  # its definition of the header cannot be found
    "plotjuggler/test_empty_channel.mcap": (100, 100, 2),
    "plotjuggler/test_large_arrays.mcap": (30, 30, 1),
    "plotjuggler/test_large_file.mcap": (50000, 50000, 1),
    "plotjuggler/test_publish_vs_log_time.mcap": (50, 50, 1),
    "rerun/foxglove_log.mcap": (6, 6, 1),
    "rerun/simple-protobuf.mcap": (293, 293, 2),
    "rerun/simple_protobuf_vec3.mcap": (5, 5, 1),
}
ROSBAG2 = {  # by file name; events of services are not read, and "wrong_format" is no encoding
    "only_services.mcap": (12, 0, 1),
    "only_topics.mcap": (7, 7, 1),
    "topics_and_services.mcap": (13, 7, 2),
    "rewriter_a_0.mcap": (150, 150, 2),
    "rewriter_b_0.mcap": (75, 75, 2),
    "multiple_files_0.mcap": (1324, 1324, 1),
    "talker.mcap": (20, 20, 2),
    "wbag_0.mcap": (1246, 1246, 8),
    "wbag_4.mcap": (1108, 1108, 8),
    "bag_with_topics_and_service_events.mcap": (10, 2, 4),
    "cdr_test_0.mcap": (7, 7, 2),
    "wrong_rmw_test_0.mcap": (7, 0, 2),
    "test_bag_for_seek_0.mcap": (5, 5, 1),
}


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Survey]]:
    with path.open("rb") as file:
        yield file, survey(file, path.stat().st_size)


def _yield(path: Path) -> tuple[int, int, int]:
    decoders, problems = Decoders(), Counter[str]()
    seen = decoded = 0
    with _opened(path) as (file, found):
        for raw in read_messages(file, found, list(found.channels), problems):
            seen += 1
            with contextlib.suppress(SkipInput):
                decoders.decode(found.channels[raw.channel_id], raw.data)
                decoded += 1
        assert seen == sum(found.counts.values())
        assert not found.damage
        assert not problems
        return seen, decoded, len(found.topics())


@pytest.mark.parametrize("name", YIELDS)
def test_what_a_file_yields(real_data: Path, name: str) -> None:
    assert _yield(real_data / "mcap" / name) == YIELDS[name]


@pytest.mark.parametrize("name", ROSBAG2)
def test_what_a_rosbag2_yields(real_data: Path, name: str) -> None:
    [path] = (real_data / "mcap/rosbag2").rglob(name)
    assert _yield(path) == ROSBAG2[name]


@pytest.mark.parametrize("name", [name for name, (messages, _, _) in YIELDS.items() if messages])
def test_the_library_reads_the_same_messages_in_the_same_order(real_data: Path, name: str) -> None:
    path = real_data / "mcap" / name
    with _opened(path) as (file, found):
        messages = read_messages(file, found, list(found.channels), Counter())
        ours = [(one.channel_id, one.log_ns, one.data) for one in messages]
        file.seek(0)
        theirs = [(one.channel_id, one.log_time, one.data) for _, _, one in make_reader(file).iter_messages()]
    assert ours == theirs


def test_every_file_is_named_here(real_data: Path) -> None:
    here = {path.relative_to(real_data / "mcap").as_posix() for path in (real_data / "mcap").rglob("*.mcap")}
    rosbag2 = {name for name in here if name.startswith("rosbag2/")}
    assert here - rosbag2 - set(YIELDS) == {"keelson/2024-05-15.mcap"}
    assert {Path(name).name for name in rosbag2} == set(ROSBAG2)


def test_a_file_broken_by_line_ends_says_so(real_data: Path) -> None:
    with (
        pytest.raises(SkipInput, match="line ends were converted"),
        _opened(real_data / "mcap/keelson/2024-05-15.mcap"),
    ):
        pass


@pytest.mark.parametrize("name", [name for name in YIELDS if name.startswith("derived/")])
@pytest.mark.parametrize("part", [0.05, 0.37, 0.8])
def test_a_real_file_that_ends_too_soon(real_data: Path, name: str, part: float) -> None:
    content = (real_data / "mcap" / name).read_bytes()
    cut = content[: round(len(content) * part)]
    found = survey(io.BytesIO(cut), len(cut))
    problems = Counter[str]()
    times = [one.log_ns for one in read_messages(io.BytesIO(cut), found, list(found.channels), problems)]
    assert found.damage
    assert len(times) <= YIELDS[name][0]
    assert times == sorted(times)


@pytest.fixture(scope="module")
def drives(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything in one go, as a user would."""
    out = tmp_path_factory.mktemp("drives") / "out"
    assert main(["extract", "--mcap", str(real_data / "mcap"), "--output-dir", str(out)]) == 0
    return out


def test_all_real_recordings_in_one_go(drives: Path) -> None:
    records = json.loads((drives / "scenes_metadata.json").read_text())
    windows = Counter(record["log"] for record in records)
    assert windows == {
        "derived_autoware_bus_ego_trajectory": 4,
        "derived_autoware_bus_turn_right": 5,
        "derived_comma2k19_segment40_json": 5,
        "derived_lichtblick_example_bz2_ros1": 1,
        "derived_nuscenes_scene-0061_can_json": 1,
        "derived_nuscenes_scene-0757_can_json": 1,
        "derived_nuscenes_scene-1094_can_json": 1,
        "derived_pr2_tilt_laser_ros1": 1,
    }
    layout = json.loads((drives / "timeseries/channels.json").read_text())
    assert layout["channels"] == [
        "speed_mps", "acceleration_mps2", "yaw_rate_radps", "steering_rad", "brake", "throttle",
    ]  # fmt: skip
    failures = (drives / "failures.jsonl").read_text()
    assert "line ends were converted" in failures


def _means(drives: Path, begins: str) -> dict[str, float]:
    layout = json.loads((drives / "timeseries/channels.json").read_text())
    table = np.load(sorted(drives.glob(f"timeseries/{begins}*.npy"))[0])
    return {
        name: float(np.nanmean(column))
        for name, column in zip(layout["channels"], table.T, strict=True)
        if np.isfinite(column).any()
    }


def test_the_figures_are_those_of_a_car(drives: Path, real_data: Path) -> None:
    bus = _means(drives, "derived_autoware_bus_turn_right_00020")
    assert 0 < bus["speed_mps"] < 15
    highway = _means(drives, "derived_comma2k19")
    assert set(highway) == {"speed_mps", "acceleration_mps2", "yaw_rate_radps", "steering_rad"}
    city = _means(drives, "derived_nuscenes_scene-0061")
    # the same drive by the other sensor, which a map of one's own names
    other = drives.parent / "other"
    own = drives.parent / "map.yaml"
    own.write_text("signals: {speed_mps: {field: /can/vehicle_monitor.vehicle_speed, unit: km/h}}")
    path = real_data / "mcap/derived/nuscenes_scene-0061_can_json.mcap"
    assert main(["extract", "--mcap", str(path), "--map", str(own), "--output-dir", str(other)]) == 0
    by_monitor = _means(other, "nuscenes")["speed_mps"]
    assert by_monitor == pytest.approx(city["speed_mps"], rel=0.05)


def test_gnss_and_wheels_agree_on_the_highway(drives: Path, real_data: Path) -> None:
    own = drives.parent / "gnss.yaml"
    own.write_text(
        "signals:\n"
        "  by_place: {topic: /gnss/ublox, fields: [latitude, longitude], compute: ground_speed}\n"
        "  by_wheels: /can/speed.speed_mps\n"
    )
    path = real_data / "mcap/derived/comma2k19_segment40_json.mcap"
    out = drives.parent / "gnss"
    assert main(["extract", "--mcap", str(path), "--map", str(own), "--output-dir", str(out)]) == 0
    means = _means(out, "comma2k19")
    assert means["by_place"] == pytest.approx(means["by_wheels"], rel=0.05)
