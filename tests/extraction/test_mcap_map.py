"""Maps of signals: what is found, and what is said of what is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("mcap")

from multimodal_search.errors import DataError, SettingsError
from multimodal_search.extraction import mcap_fields as fields
from multimodal_search.extraction.mcap_decoding import Decoders
from multimodal_search.extraction.mcap_guess import guess
from multimodal_search.extraction.mcap_map import READY, Examples, Signal, all_ready, load_map, resolve
from multimodal_search.extraction.mcap_survey import survey
from multimodal_search.settings.signal_map import SignalMap, read_signal_map

Write = Callable[..., Path]


def _resolve(path: Path, chosen: SignalMap, *, strict: bool = True) -> list[Signal]:
    with path.open("rb") as file:
        found = survey(file, path.stat().st_size)
        return resolve(chosen, Examples(file, found, Decoders()), strict=strict, where="drive.mcap")


def _map(**signals: Any) -> SignalMap:
    return SignalMap.model_validate({"signals": signals})


@given(
    st.lists(
        st.one_of(st.from_regex(r"[A-Za-z][A-Za-z0-9_]*", fullmatch=True), st.integers(0, 99)),
        min_size=1,
    ).filter(lambda steps: isinstance(steps[0], str))
)
def test_paths_are_read_as_they_are_written(steps: list[str | int]) -> None:
    assert fields.parse_path(fields.path_text(tuple(steps))) == tuple(steps)


@pytest.mark.parametrize("text", ["", ".", "a..b", "a.", "a[x]", "a[", "a b[1]c"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no field"):
        fields.parse_path(text)


def test_a_field_is_found_by_topic_even_where_topics_hold_dots(write_mcap: Write) -> None:
    path = write_mcap(
        [("/car", 1, {"v2": {"x": 3}}), ("/car.v2", 2, {"x": 4.0}), ("/list", 3, [{"a": [1, 2]}])]
    )
    chosen = _map(one="/car.v2.x", two={"field": "/list[0].a[1]", "unit": "km/h"})
    one, two = _resolve(path, chosen)
    assert (one.topic, one.paths) == ("/car.v2", (("x",),))  # the longest topic
    assert (two.topic, two.paths, two.unit) == ("/list", ((0, "a", 1),), "m/s")
    assert two.scale == pytest.approx(1 / 3.6)


@pytest.mark.parametrize(
    ("field", "what", "remedy"),
    [
        ("/sped.speed_mps", "no topic /sped", "'/speed'"),
        ("/speed.sped_mps", "/speed has no field sped_mps", "'speed_mps'"),
        ("/speed.name", "name of /speed is no number", "speed_mps"),
        ("/speed.list[9]", "has no field list[9]", "list[0]"),
        ("/speed.__class__", "has no field __class__", "speed_mps"),
    ],
)
def test_what_is_not_there_is_named_with_the_nearest(
    write_mcap: Write, field: str, what: str, remedy: str
) -> None:
    path = write_mcap([("/speed", 1, {"speed_mps": 1.0, "name": "x", "list": [1]})])
    with pytest.raises(DataError) as caught:
        _resolve(path, _map(speed=field))
    assert what in caught.value.what
    assert remedy in str(caught.value.remedy)
    assert _resolve(path, _map(speed={"field": field, "optional": True})) == []
    assert _resolve(path, _map(speed=field), strict=False) == []


def test_the_first_source_that_is_there_is_taken(write_mcap: Write) -> None:
    path = write_mcap([("/b", 1, {"v": 1.0})], types={"/b": "pkg/msg/Speed"})
    [found] = _resolve(path, _map(speed=["/a.v", {"type": "pkg/Speed", "field": "v"}]))
    assert found.topic == "/b"
    [found] = _resolve(path, _map(speed={"topic": "/*", "field": "v", "derivative": True, "unit": "m/s"}))
    assert (found.topic, found.unit, found.derivative) == ("/b", "m/s2", True)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no `signals:`"),
        ("signals: {}", "signals"),
        ("signals: {speed: {unit: m/s}}", "give field"),
        ("signals: {speed: {field: /a.b, fields: [c]}}", "give field"),
        ("signals: {speed: {fields: [a, b], topic: /a}}", "compute"),
        ("signals: {speed: {fields: [a], topic: /a, compute: yaw_rate}}", "quaternion"),
        ("signals: {speed: {field: a, topic: /a, scale: .nan}}", "scale"),
        ("signals: {speed: {feild: /a.b}}", "feild"),
        ("signals: {speed: /a.b}\ntime: sender", "time"),
        ("signals: {speed: [", "not YAML"),
        ("signals: {speed: 3}", "signals"),
    ],
)
def test_a_bad_map_is_refused_with_its_place(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_signal_map(path)
    assert what in str(caught.value)
    assert str(path) in str(caught.value)


def test_ready_maps_can_be_read_and_others_are_named() -> None:
    for name in READY:
        assert "speed_mps" in load_map(name).signals
    assert list(all_ready().signals)[:3] == ["speed_mps", "acceleration_mps2", "yaw_rate_radps"]
    with pytest.raises(SettingsError, match="nuscenes, ros, can"):
        load_map("rso")


def test_a_guess_takes_what_is_called_like_a_signal(write_mcap: Write) -> None:
    path = write_mcap(
        [
            ("/can/dash", 1, {"vehicle_speed_kmh": 36.0, "steering_speed": 1.0, "battery": 3}),
            ("/can/steer", 2, {"steering_wheel_angle_deg": 90.0}),
            ("/imu", 3, {"angular_velocity": {"x": 0, "y": 0, "z": 1}}),
        ]
    )
    with path.open("rb") as file:
        made = guess([Examples(file, survey(file, path.stat().st_size), Decoders())])
    assert made is not None
    found = {one.name: one for one in _resolve(path, made)}
    assert found["speed_mps"].paths == (("vehicle_speed_kmh",),)
    assert found["speed_mps"].scale == pytest.approx(1 / 3.6)
    assert found["steering_rad"].unit == "rad"
    assert found["yaw_rate_radps"].topic == "/imu"
    assert "brake" not in found


def test_a_guess_of_nothing_is_none(write_mcap: Write) -> None:
    path = write_mcap([("/mouse", 1, {"clientX": 1.0})])
    with path.open("rb") as file:
        assert guess([Examples(file, survey(file, path.stat().st_size), Decoders())]) is None


def _signals(path: Path, chosen: SignalMap) -> dict[str, str]:
    return {one.name: one.told().split(" <- ")[1] for one in _resolve(path, chosen, strict=False)}


def test_the_ready_map_of_foxgloves_nuscenes(write_mcap: Write) -> None:
    vector = {"x": 1.0, "y": 0.0, "z": 0.0}
    odom = {"accel": vector, "orientation": {**vector, "w": 0.0}, "pos": vector, "rotation_rate": vector}
    pose = {"pose": {"position": vector, "orientation": {**vector, "w": 0.0}}}
    with_can = write_mcap([("/odom", 1, {**odom, "vel": vector}), ("/pose", 2, pose)], name="a.mcap")
    assert _signals(with_can, load_map("nuscenes")) == {
        "speed_mps": "/odom.vel.x [m/s]",
        "acceleration_mps2": "/odom.accel.x [m/s2]",
        "yaw_rate_radps": "/odom.rotation_rate.z [rad/s]",
    }
    without = write_mcap(
        [("/pose", 2, pose), ("/gps", 3, {"latitude": 1.0, "longitude": 2.0})], name="b.mcap"
    )
    found = _signals(without, load_map("nuscenes"))
    assert found["speed_mps"] == "path_speed of /pose: pose.position.x, pose.position.y [m/s]"
    assert found["yaw_rate_radps"].startswith("yaw_rate of /pose")
    assert _signals(without, all_ready()) == found


def test_the_ready_map_of_ros_goes_by_type(write_mcap: Write) -> None:
    fix = {"latitude": 1.0, "longitude": 2.0}
    imu = {"linear_acceleration": {"x": 1.0}, "angular_velocity": {"z": 1.0}}
    types = {"/a": "sensor_msgs/msg/NavSatFix", "/b": "sensor_msgs/Imu"}
    path = write_mcap([("/a", 1, fix), ("/b", 2, imu)], types=types)
    assert _signals(path, load_map("ros")) == {
        "speed_mps": "ground_speed of /a: latitude, longitude [m/s]",
        "acceleration_mps2": "/b.linear_acceleration.x [m/s2]",
        "yaw_rate_radps": "/b.angular_velocity.z [rad/s]",
    }
