"""The sample world as MCAP recordings, a file a drive, in each encoding."""

from __future__ import annotations

import base64
import io
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from multimodal_search.errors import SettingsError, nearest, require
from multimodal_search.sources.sample import chosen_cameras
from multimodal_search.sources.sample.output_folder import claim, with_progress
from multimodal_search.sources.sample.render import jpeg, render
from multimodal_search.sources.sample.signals import CHANNELS, make_drive, make_series
from multimodal_search.sources.sample.texts import descriptions
from multimodal_search.sources.sample.world import DURATION_SECONDS, SampleScene, make_scenes
from multimodal_search.storage import write_atomically

ENCODINGS = ("json", "protobuf", "ros1", "ros2")
MOTION_TOPIC, TEXT_TOPIC = "/vehicle/motion", "/events"
_LINE = "=" * 80  # between definitions of messages, as ROS writes them
_SCHEMA_ENCODINGS = {"json": "jsonschema", "protobuf": "protobuf", "ros1": "ros1msg", "ros2": "ros2msg"}
_MESSAGE_ENCODINGS = {"json": "json", "protobuf": "protobuf", "ros1": "ros1", "ros2": "cdr"}
_KINDS = ("motion", "picture", "text")


def write_mcap(
    out: str | Path,
    *,
    encoding: str = "ros2",
    scenes: int = 100,
    seed: int = 0,
    cameras: tuple[str, ...] = ("CAM_FRONT",),
    progress: bool = True,
) -> Path:
    """``<log>.mcap``: the scenes of a drive with their pauses; labels and bounds as metadata records.

    Topics: ``/vehicle/motion`` (10 Hz, the channels of the sample world as doubles), a picture a scene on
    ``/CAM_FRONT/image_rect_compressed``, texts on ``/events``. A second run writes only what differs.

    Raises:
        SettingsError: an unknown encoding or camera.
        DataError: the folder holds something else.
        OutputError: a file cannot be written.
        MissingDependencyError: the extra is not installed.
    """
    if encoding not in ENCODINGS:
        raise SettingsError(
            f"Unknown encoding {encoding!r}: {nearest(encoding, ENCODINGS)}", where="--encoding"
        )
    chosen = chosen_cameras(cameras)
    parameters = {"format": "mcap", "encoding": encoding, "scenes": scenes, "seed": seed}
    folder = claim(out, {**parameters, "cameras": list(chosen)})
    drives: dict[str, list[SampleScene]] = {}
    for scene in make_scenes(scenes, seed):
        drives.setdefault(scene.log, []).append(scene)
    for log, members in with_progress(list(drives.items()), progress):
        path = folder / f"{log}.mcap"
        content = io.BytesIO()
        write_drive(content, members, encoding, chosen)
        # the last drive of an earlier, smaller world lacks scenes; one that does not change keeps its date
        if not path.exists() or path.read_bytes() != content.getvalue():
            with write_atomically(path) as file:
                file.write(content.getvalue())
    return folder


def write_drive(
    file: Any,
    scenes: list[SampleScene],
    encoding: str,
    cameras: tuple[str, ...] = ("CAM_FRONT",),
    **options: Any,
) -> None:
    """One recording into an open file; ``options`` are those of ``mcap.writer.Writer``."""
    writer = require("mcap.writer", extra="mcap").Writer(file, **options)
    writer.start(profile=encoding if encoding.startswith("ros") else "", library="multimodal-search sample")
    encoders, schemas = _encoders(encoding), {}
    for kind in _KINDS:
        name, content, _ = encoders[kind]
        schemas[kind] = writer.register_schema(name, _SCHEMA_ENCODINGS[encoding], content)
    topics = {MOTION_TOPIC: "motion", TEXT_TOPIC: "text"}
    topics |= {f"/{camera}/image_rect_compressed": "picture" for camera in cameras}
    channels = {
        topic: writer.register_channel(topic, _MESSAGE_ENCODINGS[encoding], schemas[kind])
        for topic, kind in topics.items()
    }
    for scene in sorted(scenes, key=lambda one: one.start_us):
        start_ns = scene.start_us * 1000
        bounds = {
            "start_seconds": f"{scene.start_us / 1e6:.6f}",
            "end_seconds": f"{scene.start_us / 1e6 + DURATION_SECONDS:.6f}",
        }
        said = {**scene.metadata(), "location": scene.location, "sample": scene.scene_id}
        said.pop("log")
        writer.add_metadata("scene", {**said, **bounds})
        for sequence, (time_ns, topic, message) in enumerate(_messages(scene, start_ns, cameras)):
            encode = encoders[topics[topic]][2]
            writer.add_message(channels[topic], time_ns, encode(message, time_ns), time_ns, sequence)
    writer.finish()


def _messages(
    scene: SampleScene, start_ns: int, cameras: tuple[str, ...]
) -> list[tuple[int, str, Mapping[str, Any]]]:
    series = make_series(scene)
    found: list[tuple[int, str, Mapping[str, Any]]] = [
        (start_ns + round(seconds * 1e9), MOTION_TOPIC, dict(zip(CHANNELS, row, strict=True)))
        for seconds, row in zip(series.timestamps_seconds.tolist(), series.values.tolist(), strict=True)
    ]
    moment_ns = start_ns + round(make_drive(scene).moment_seconds * 1e9)
    for camera in cameras:
        content = jpeg(render(scene, camera))
        found.append((moment_ns, f"/{camera}/image_rect_compressed", {"format": "jpeg", "data": content}))
    found += [(start_ns, TEXT_TOPIC, {"data": text}) for text in descriptions(scene)]
    return sorted(found, key=lambda one: one[0])


_Encode = Callable[[Mapping[str, Any], int], bytes]
_Encoder = tuple[str, bytes, _Encode]  # the schema's name and content, and how a message becomes bytes


def _encoders(encoding: str) -> dict[str, _Encoder]:
    return {"json": _json, "protobuf": _protobuf, "ros1": _ros1, "ros2": _ros2}[encoding]()


def _json() -> dict[str, _Encoder]:
    def encode(message: Mapping[str, Any], time_ns: int) -> bytes:
        stamp = {"timestamp": {"sec": time_ns // 10**9, "nsec": time_ns % 10**9}}
        plain = {
            key: base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for key, value in message.items()
        }
        return json.dumps({**stamp, **plain}).encode()

    names = {"motion": "sample.Motion", "picture": "foxglove.CompressedImage", "text": "sample.Text"}
    return {kind: (name, b'{"type": "object"}', encode) for kind, name in names.items()}


def _protobuf() -> dict[str, _Encoder]:
    descriptors = require("google.protobuf.descriptor_pb2", extra="mcap")
    pools = require("google.protobuf.descriptor_pool", extra="mcap")
    factory = require("google.protobuf.message_factory", extra="mcap")
    field = descriptors.FieldDescriptorProto
    members = {
        "sample.Motion": [(name, field.TYPE_DOUBLE) for name in CHANNELS],
        "foxglove.CompressedImage": [("data", field.TYPE_BYTES), ("format", field.TYPE_STRING)],
        "sample.Text": [("data", field.TYPE_STRING)],
    }
    result = {}
    for kind, (full_name, parts) in zip(_KINDS, members.items(), strict=True):
        package, _, name = full_name.rpartition(".")
        described = descriptors.FileDescriptorProto(
            name=f"{full_name}.proto", package=package, syntax="proto3"
        )
        message = described.message_type.add(name=name)
        for number, (part, type_) in enumerate(parts, start=1):
            message.field.add(name=part, number=number, type=type_, label=field.LABEL_OPTIONAL)
        pool = pools.DescriptorPool()
        pool.Add(described)
        made = factory.GetMessageClass(pool.FindMessageTypeByName(full_name))
        content = descriptors.FileDescriptorSet(file=[described]).SerializeToString()
        result[kind] = (full_name, content, _protobuf_encode(made))
    return result


def _protobuf_encode(made: Any) -> _Encode:
    return lambda message, time_ns: bytes(made(**message).SerializeToString())


def _definitions(stamp: str) -> dict[str, tuple[str, str]]:
    """Kind -> name and text of the ROS message."""
    header = f"\n{_LINE}\nMSG: std_msgs/Header\n{stamp}string frame_id\n"
    numbers = "".join(f"float64 {name}\n" for name in CHANNELS)
    return {
        "motion": ("sample_msgs/{}Motion", f"std_msgs/Header header\n{numbers}{header}"),
        "picture": (
            "sensor_msgs/{}CompressedImage",
            f"std_msgs/Header header\nstring format\nuint8[] data\n{header}",
        ),
        "text": ("std_msgs/{}String", "string data\n"),
    }


def _ros1() -> dict[str, _Encoder]:
    def text(value: str) -> bytes:
        return struct.pack("<I", len(value.encode())) + value.encode()

    def header(time_ns: int) -> bytes:
        return struct.pack("<III", 0, time_ns // 10**9, time_ns % 10**9) + text("base_link")

    encodes: dict[str, _Encode] = {
        "motion": lambda message, time_ns: header(time_ns) + struct.pack("<6d", *message.values()),
        "picture": lambda message, time_ns: (
            header(time_ns)
            + text(message["format"])
            + struct.pack("<I", len(message["data"]))
            + message["data"]
        ),
        "text": lambda message, time_ns: text(message["data"]),
    }
    definitions = _definitions("uint32 seq\ntime stamp\n")
    return {
        kind: (name.format(""), content.encode(), encodes[kind])
        for kind, (name, content) in definitions.items()
    }


def _ros2() -> dict[str, _Encoder]:
    dynamic = require(
        "mcap_ros2._dynamic", extra="mcap"
    )  # the library has no public encoder without a writer
    time = f"{_LINE}\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n"
    result = {}
    for kind, (name, content) in _definitions("builtin_interfaces/Time stamp\n").items():
        full_name = name.format("msg/")
        definition = content + time if kind != "text" else content
        encode = dynamic.serialize_dynamic(full_name, definition)[full_name]
        result[kind] = (full_name, definition.encode(), _ros2_encode(encode, kind != "text"))
    return result


def _ros2_encode(encode: Callable[[Any], bytes], stamped: bool) -> _Encode:
    def call(message: Mapping[str, Any], time_ns: int) -> bytes:
        stamp = {"sec": time_ns // 10**9, "nanosec": time_ns % 10**9}
        header = {"header": {"stamp": stamp, "frame_id": "base_link"}} if stamped else {}
        return encode({**header, **message})

    return call
