"""Messages in JSON, Protobuf, ROS 1 and ROS 2 (CDR): bytes -> objects whose fields have names."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from multimodal_search.errors import MissingDependencyError, SkipInput, require
from multimodal_search.extraction.mcap_survey import ChannelInfo

Decode = Callable[[bytes], Any]

# Message encoding -> the library's module, and the encodings of schemas that it reads.
_BY_LIBRARY = {
    "protobuf": ("mcap_protobuf.decoder", ("protobuf",)),
    "ros1": ("mcap_ros1.decoder", ("ros1msg",)),
    "cdr": ("mcap_ros2.decoder", ("ros2msg",)),
}
_ROS1_LINE = re.compile(r"={80}|MSG: [\w/]+|[A-Za-z][\w/]*(\[\d*\])?\s+[A-Za-z]\w*", re.ASCII)
_ROS1_CONSTANT = re.compile(r"\s*[a-z]\w*\s+\w+\s*=", re.ASCII)
ENCODINGS = ("json", *_BY_LIBRARY)


class Decoders:
    """The decoders of one recording's channels, made when they are first asked for."""

    def __init__(self) -> None:
        self._factories: dict[str, Any] = {}
        self._made: dict[int, Decode | SkipInput] = {}

    def decode(self, info: ChannelInfo, data: bytes) -> Any:
        """A message as a mapping (JSON) or an object with attributes.

        Raises:
            SkipInput: the channel cannot be decoded, or this message does not.
            MissingDependencyError: the extra is not installed.
        """
        decoder = self._made.get(info.id)
        if decoder is None:
            decoder = self._made[info.id] = self._make(info)
        if isinstance(decoder, SkipInput):
            raise SkipInput(decoder.reason)
        try:
            return decoder(data)
        except Exception as error:  # the libraries raise whatever the bytes provoke
            raise SkipInput(f"does not decode ({_short(error)})") from error

    def why_not(self, info: ChannelInfo) -> str | None:
        """Why a channel cannot be decoded; None where it can."""
        try:
            if info.id not in self._made:
                self._made[info.id] = self._make(info)
            made = self._made[info.id]
        except MissingDependencyError:
            return "needs the extra: pip install 'multimodal-search[mcap]'"
        return made.reason if isinstance(made, SkipInput) else None

    def _make(self, info: ChannelInfo) -> Decode | SkipInput:
        if info.encoding == "json":
            return json.loads
        if info.encoding not in _BY_LIBRARY:
            said = f"encoding {info.encoding!r} is not known" if info.encoding else "no encoding is named"
            return SkipInput(f"{said}; {', '.join(ENCODINGS)} are (extra 'mcap')")
        module, schema_encodings = _BY_LIBRARY[info.encoding]
        if info.schema is None:
            return SkipInput(f"no schema, without which {info.encoding} has no fields")
        if info.schema.encoding not in schema_encodings:
            return SkipInput(
                f"schema in {info.schema.encoding!r}; for {info.encoding} {schema_encodings[0]} is read"
            )
        if info.encoding == "cdr" and b"\n---\n" in info.schema.data:
            return SkipInput("events of a service, which are not read")
        if info.encoding not in self._factories:
            self._factories[info.encoding] = require(module, extra="mcap").DecoderFactory()
        schema = _plain_ros1(info.schema) if info.encoding == "ros1" else info.schema
        if schema is None:
            return SkipInput(f"schema {info.schema.name!r} is no definition of ROS 1")
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # the parser of ROS 2 prints what it raises
                decoder: Decode = self._factories[info.encoding].decoder_for(info.encoding, schema)
        except Exception as error:
            return SkipInput(f"schema {info.schema.name!r} cannot be understood ({_short(error)})")
        return decoder


def _plain_ros1(schema: Any) -> Any | None:
    """The definition with nothing but fields; None where a line is neither a field nor known.

    genpy writes Python from definitions and runs it. Comments and constants, which decoding does not need,
    could carry code into that; names and types of letters cannot.
    """
    lines = []
    for line in schema.data.decode("utf-8", "replace").splitlines():
        text = line.strip() if _ROS1_CONSTANT.match(line) else line.partition("#")[0].strip()
        if _ROS1_LINE.fullmatch(text):
            lines.append(text)
        elif text and not _ROS1_CONSTANT.match(text):
            return None
    if not re.fullmatch(r"\w+/\w+", schema.name, re.ASCII):
        return None
    return replace(schema, data="\n".join(lines).encode())


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 100 else f"{text[:97]}..."
