"""Settings in YAML: read (flat or in sections) and written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from multimodal_search.errors import SettingsError, nearest
from multimodal_search.settings.models import S3Settings, Settings

SECTIONS = ("data", "encoders", "training", "output")


def read_config(path: str | Path, known: Sequence[str]) -> dict[str, Any]:
    """One YAML file as a flat mapping; sections are for the reader's eye only.

    Raises:
        SettingsError: no such file, not YAML (line and column), a key that is not known.
    """
    try:
        file = Path(path).expanduser()
        text = file.read_text(encoding="utf-8")
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(
            f"The settings file cannot be read ({reason}).",
            where=path,
            remedy="give a YAML file in UTF-8; configs/ holds examples",
        ) from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}, line {mark.line + 1}, column {mark.column + 1}" if mark else file
        raise SettingsError("The settings file is not YAML.", where=place, remedy=str(error)) from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise SettingsError("The settings file must hold `key: value` lines.", where=file)
    flat: dict[str, Any] = {}
    for key, value in data.items():
        name = str(key).replace("-", "_")
        if name in SECTIONS and name not in known and isinstance(value, dict):
            for inner, one in value.items():
                _put(flat, str(inner).replace("-", "_"), one, known, file)
        else:
            _put(flat, name, value, known, file)
    return flat


def _put(flat: dict[str, Any], name: str, value: Any, known: Sequence[str], file: Path) -> None:
    if name not in known:
        raise SettingsError(f"Unknown key {name!r}.", where=file, remedy=nearest(name, list(known)))
    if name in flat:
        raise SettingsError(f"The key {name!r} stands twice.", where=file)
    flat[name] = value


def dump_settings(settings: Settings) -> str:
    """The settings as YAML that ``--config`` reads back; unset ones are left out.

    So is how S3 is reached: another machine's own matter, and a proxy's address may hold a password.
    """
    values = settings.model_dump(mode="json", exclude_none=True, exclude=set(S3Settings.model_fields))
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
