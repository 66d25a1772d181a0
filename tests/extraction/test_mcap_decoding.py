"""Messages of every encoding become objects with fields; what cannot says why."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("mcap")

from mcap.records import Schema

from multimodal_search.errors import MissingDependencyError, SkipInput
from multimodal_search.extraction import mcap_fields as fields
from multimodal_search.extraction.mcap_decoding import Decoders
from multimodal_search.extraction.mcap_sample import ENCODINGS, _encoders
from multimodal_search.extraction.mcap_survey import ChannelInfo
from multimodal_search.sources.sample.signals import CHANNELS

_MESSAGE = {"json": "json", "protobuf": "protobuf", "ros1": "ros1", "ros2": "cdr"}
_SCHEMA = {"json": "jsonschema", "protobuf": "protobuf", "ros1": "ros1msg", "ros2": "ros2msg"}


def _channel(
    encoding: str, schema_encoding: str | None, name: str = "x/Y", content: bytes = b""
) -> ChannelInfo:
    schema = None if schema_encoding is None else Schema(1, content, schema_encoding, name)
    return ChannelInfo(1, "/t", name, encoding, schema)


def _motion(encoding: str, values: list[float], time_ns: int) -> tuple[ChannelInfo, bytes]:
    name, content, encode = _encoders(encoding)["motion"]
    data = encode(dict(zip(CHANNELS, values, strict=True)), time_ns)
    return _channel(_MESSAGE[encoding], _SCHEMA[encoding], name, content), data


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_numbers_and_stamps_of_every_encoding(encoding: str) -> None:
    values = [1.5, -2.25, 1e-300, 3.0, 1e17, 0.1]
    time_ns = 1_700_000_000_123_456_789
    info, data = _motion(encoding, values, time_ns)
    message = Decoders().decode(info, data)
    assert [fields.number_at(message, (name,)) for name in CHANNELS] == values
    listed = fields.numeric_fields(message)
    assert set(CHANNELS) <= set(listed)
    assert fields.stamp_ns(message) == (None if encoding == "protobuf" else time_ns)
    with pytest.raises(LookupError):
        fields.number_at(message, ("speed",))
    with pytest.raises(LookupError):
        fields.number_at(message, ("speed_mps", 0))


@given(st.sampled_from(ENCODINGS), st.binary(max_size=80))
def test_bytes_that_are_no_message_are_skipped(encoding: str, data: bytes) -> None:
    info, _ = _motion(encoding, [0.0] * 6, 1)
    try:
        Decoders().decode(info, data)
    except SkipInput as skip:
        assert skip.reason  # noqa: PT017  most bytes are no message, some are


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (_channel("cbor", "x"), "encoding 'cbor' is not known; json, protobuf, ros1, cdr"),
        (_channel("", None), "no encoding is named"),
        (_channel("cdr", None), "no schema"),
        (_channel("protobuf", None), "no schema"),
        (_channel("cdr", "ros2idl", content=b"module x {};"), "'ros2idl'; for cdr ros2msg is read"),
        (_channel("cdr", "ros2msg", content=b"NOT A }{ DEFINITION"), "cannot be understood"),
        (_channel("cdr", "ros2msg", content=b"int64 a\n---\nint64 b\n"), "events of a service"),
        (_channel("protobuf", "protobuf", content=b"\xff\xff"), "cannot be understood"),
        (_channel("ros1", "ros1msg", content=b"nonsense"), "no definition of ROS 1"),
        (_channel("ros1", "ros1msg", "x/Y(Z)", b"float64 a"), "no definition of ROS 1"),
        (_channel("ros1", "ros1msg", content=b"other/Type a"), "cannot be understood"),
    ],
)
def test_channels_that_cannot_be_decoded_say_why(
    info: ChannelInfo, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    decoders = Decoders()
    assert reason in str(decoders.why_not(info))
    with pytest.raises(SkipInput, match=r".+"):
        decoders.decode(info, b"\0\1\0\0")
    assert not capsys.readouterr().err  # the libraries' own prints stay with them


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcap_ros2.decoder", None)
    info = _channel("cdr", "ros2msg", "std_msgs/msg/Float64", b"float64 data\n")
    assert "multimodal-search[mcap]" in str(Decoders().why_not(info))
    with pytest.raises(MissingDependencyError, match=r"multimodal-search\[mcap\]"):
        Decoders().decode(info, b"")


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ({"header": {"stamp": {"sec": 5, "nanosec": 7}}}, 5_000_000_007),
        ({"stamp": {"secs": 5, "nsecs": 7}}, 5_000_000_007),
        ({"timestamp": {"seconds": 5, "nanos": 7}}, 5_000_000_007),
        ({"timestamp": {"sec": 5}}, 5_000_000_000),
        ({"header": {"sec": 5, "nanosec": 7}}, 5_000_000_007),
        ({"header": {"stamp": {"sec": 0, "nanosec": 0}}}, None),
        ({"header": {"stamp": {"sec": 2**60}}}, None),
        ({"timestamp": "noon"}, None),
        ({"header": None}, None),
        ([1, 2], None),
    ],
)
def test_stamps(message: Any, wanted: int | None) -> None:
    assert fields.stamp_ns(message) == wanted


_CODE = "__import__('pathlib').Path('pwned').touch()"


@pytest.mark.parametrize(
    "line",
    [
        f'string X=a" + {_CODE} + "\'\\',
        f'# """ + {_CODE} + """',
        f"int32 X={_CODE}",
        f"float64 b;{_CODE}",
        f"float64[3;{_CODE}] b",
        f"string X='\n{_CODE}\n'",
    ],
)
def test_a_ros1_definition_is_never_run(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    info = _channel("ros1", "ros1msg", content=f"float64 a\n{line}\n".encode())
    try:
        message = Decoders().decode(info, struct.pack("<d", 2.5))
        assert fields.number_at(message, ("a",)) == 2.5
    except SkipInput as skip:
        assert "no definition" in skip.reason  # noqa: PT017
    assert not list(tmp_path.iterdir())


def test_constants_and_comments_of_ros1_do_no_harm() -> None:
    content = b"# a comment\nint8 OK = 1 # fine\nstring NAME=it's #1\n"
    content += b"float64   a # metres\n\nuint8[] b\nstd_msgs/Header[2] c\n"
    content += b"=" * 80 + b"\nMSG: std_msgs/Header\nuint32 seq\ntime stamp\nstring frame_id\n"
    info = _channel("ros1", "ros1msg", content=content)
    data = struct.pack("<dI3s", 2.5, 3, b"abc") + struct.pack("<IIII", 1, 2, 3, 0) * 2
    message = Decoders().decode(info, data)
    assert (message.a, bytes(message.b), message.c[1].seq) == (2.5, b"abc", 1)
