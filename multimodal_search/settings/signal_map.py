"""Which fields of which topics are which signals: YAML, checked before a recording is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from multimodal_search.errors import SettingsError

Compute = Literal["ground_speed", "path_speed", "yaw_rate", "norm"]
FIELDS_OF: dict[str, str] = {
    "ground_speed": "latitude and longitude in degrees",
    "path_speed": "x, y (and z) in metres",
    "yaw_rate": "x, y, z, w of a quaternion",
    "norm": "the parts of a vector",
}


class SignalSource(BaseModel):
    """Where one signal comes from.

    ``field`` alone is a topic and a field (``/odom.twist.twist.linear.x``); beside ``topic`` (``*`` stands
    for anything) or ``type`` (a message's type) it is the field only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str = Field(default="", description="/topic.field, or the field alone beside topic or type")
    fields: tuple[str, ...] = Field(default=(), description="several fields of one message, for compute")
    topic: str = ""
    type: str = ""
    unit: str = Field(default="", description="of the field; km/h, deg and others become SI")
    scale: float = Field(default=1.0, allow_inf_nan=False)
    offset: float = Field(default=0.0, allow_inf_nan=False)
    derivative: bool = Field(default=False, description="the change a second is the signal")
    compute: Compute | None = None
    optional: bool = Field(default=False, description="a recording without it is no mistake")

    @model_validator(mode="after")
    def _consistent(self) -> SignalSource:
        if bool(self.field) == bool(self.fields):
            raise ValueError("give field, or fields with compute")
        if bool(self.fields) != (self.compute is not None):
            raise ValueError("compute needs fields: " + "; ".join(f"{k}: {v}" for k, v in FIELDS_OF.items()))
        if self.topic and self.type:
            raise ValueError("give topic or type, not both")
        if self.fields and not (self.topic or self.type):
            raise ValueError("fields need a topic or a type beside them")
        wanted = {"ground_speed": (2,), "path_speed": (2, 3), "yaw_rate": (4,)}.get(self.compute or "")
        if wanted and len(self.fields) not in wanted:
            raise ValueError(f"{self.compute} needs {FIELDS_OF[str(self.compute)]}")
        return self


class SignalMap(BaseModel):
    """Signals by name; each has one source, or several of which the first that is there is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signals: dict[str, tuple[SignalSource, ...]] = Field(min_length=1)
    time: Literal["log", "publish", "header"] = Field(
        default="log",
        description="whose time holds: the recorder's, the sender's, or the message's own stamp",
    )

    @field_validator("signals", mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        result = {}
        for name, sources in value.items():
            listed = sources if isinstance(sources, list | tuple) else [sources]
            result[str(name)] = [{"field": one} if isinstance(one, str) else one for one in listed]
        return result


def read_signal_map(path: Path) -> SignalMap:
    """A map from a file.

    Raises:
        SettingsError: no such file, not YAML (line and column), or not a map; says what is missing where.
    """
    remedy = (
        'write for example "signals: {speed_mps: /odom.twist.twist.linear.x}"; docs/your-data-to-search.md'
    )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(f"The map cannot be read ({reason}).", where=path, remedy=remedy) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else path
        raise SettingsError("The map is not YAML.", where=where, remedy=str(error)) from error
    if not isinstance(content, dict):
        raise SettingsError("The map holds no `signals:`.", where=path, remedy=remedy)
    try:
        return SignalMap.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(one) for one in first["loc"]) or "the map"
        message = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{place}: {message}.", where=path, remedy=remedy) from error
