"""Typed fields -> command-line flags; defaults, YAML files and flags -> one checked settings object."""

from __future__ import annotations

import argparse
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from multimodal_search.errors import SettingsError, nearest
from multimodal_search.settings.files import read_config
from multimodal_search.settings.models import S3Settings, Settings

S = TypeVar("S", bound=Settings)

_TRUE = {"true", "1", "yes", "on"}
_FALSE = {"false", "0", "no", "off"}


def parse(
    model: type[S], argv: Sequence[str], *, prog: str, summary: str, defaults: Mapping[str, Any] | None = None
) -> S:
    """Settings from defaults, then ``--config`` files, then flags: the later wins.

    Args:
        defaults: what the launcher knows of its surroundings; weaker than files and flags.

    Raises:
        SettingsError: an unknown flag or key (with the nearest known one), or a value out of range.
        SystemExit: ``--help``.
    """
    parser = build_parser(model, prog=prog, summary=summary)
    given, unknown = parser.parse_known_args(_normalised(argv))
    if unknown:
        raise _unknown_argument(unknown[0], model, prog)
    flags = vars(given)
    values: dict[str, Any] = dict(defaults or {})
    for path in flags.pop("config", None) or []:
        values.update(read_config(path, tuple(model.model_fields)))
    values.update(flags)
    return check(model, values)


def check(model: type[S], values: Mapping[str, Any]) -> S:
    """Validate values against the model, with a message in terms of flags.

    Raises:
        SettingsError: a value is of the wrong type or out of range.
    """
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        flag = flag_name(name)
        if first["type"] == "extra_forbidden":
            raise SettingsError(
                f"Unknown setting {name!r}.", remedy=nearest(name, list(model.model_fields))
            ) from error
        if first["type"] == "missing":
            raise SettingsError(f"{flag} is required.", remedy=_describe(model.model_fields[name])) from error
        raise SettingsError(
            f"{flag} {first.get('input')!r}: {first['msg'].removeprefix('Value error, ').lower()}.",
            remedy=_describe(model.model_fields[name]) if name in model.model_fields else None,
        ) from error


def build_parser(model: type[Settings], *, prog: str, summary: str) -> argparse.ArgumentParser:
    """A parser with one flag a field; absent flags leave no trace, so that weaker sources show through."""
    parser = _Parser(
        prog=prog,
        description=summary,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    if any(_is_yaml_only(field) for field in model.model_fields.values()) or len(model.model_fields) > 8:
        parser.add_argument(
            "--config", action="append", metavar="FILE", help="YAML settings; may be repeated"
        )
    s3 = parser.add_argument_group("how S3 is reached")  # the same of every command, so shown last
    for name, field in model.model_fields.items():
        if not _is_yaml_only(field):
            _add_flag(s3 if name in S3Settings.model_fields else parser, name, field)
    return parser


def flag_name(field: str) -> str:
    """``use_sample_data`` -> ``--use-sample-data``."""
    return "--" + field.replace("_", "-")


class _Parser(argparse.ArgumentParser):
    """Raises our error instead of exiting, so that every mistake is reported in one way."""

    def error(self, message: str) -> typing.NoReturn:
        raise SettingsError(message[:1].upper() + message[1:] + ".", remedy=f"{self.prog} --help")


def _add_flag(parser: argparse._ActionsContainer, name: str, field: FieldInfo) -> None:
    flag = flag_name(name)
    text = (field.description or "").replace("%", "%%")
    if not field.is_required() and field.default not in (None, []) and _plain(field) is not bool:
        text += f" [{_shown(field.default)}]"
    if _plain(field) is bool:
        names = (flag, *_other_names(field))
        parser.add_argument(
            *names, nargs="?", const=True, type=_boolean, metavar="BOOL", dest=name, help=text
        )
        # hidden: job launchers and people write it, the help need not double
        parser.add_argument(f"--no-{flag[2:]}", action="store_false", dest=name, help=argparse.SUPPRESS)
    elif _is_repeated(field):
        # words may hold commas and spaces: one value a flag
        parser.add_argument(
            flag,
            *_other_names(field),
            action="append",
            metavar="VALUE",
            dest=name,
            help=f"{text} (repeatable)",
        )
    elif typing.get_origin(_plain(field)) is list:
        member = _member(field)
        # a path may hold a comma
        action, metavar, how = (
            (_Comma, {int: "N", float: "X"}.get(member, "NAME"), "space or comma separated")
            if member is not None
            else ("extend", "PLACE", "space separated, or the flag again")
        )
        parser.add_argument(
            flag, nargs="+", action=action, metavar=metavar, dest=name, help=f"{text} ({how})"
        )
    else:
        choices = (
            typing.get_args(_plain(field)) if typing.get_origin(_plain(field)) is typing.Literal else None
        )
        metavar = "{" + ",".join(map(str, choices)) + "}" if choices else _metavar(field)
        # pydantic compares a literal's values without converting them
        kind = type(choices[0]) if choices else str
        parser.add_argument(flag, *_other_names(field), dest=name, metavar=metavar, type=kind, help=text)


def _member(field: FieldInfo) -> Any:
    """Type of a list's members where a comma parts them; None for places, which may hold one."""
    kind = typing.get_args(_plain(field))[0]
    if typing.get_origin(kind) is typing.Annotated and typing.get_args(kind)[0] in (int, float):
        kind = typing.get_args(kind)[0]
    return kind if kind in (str, int, float) or typing.get_origin(kind) is typing.Literal else None


def _other_names(field: FieldInfo) -> list[str]:
    """Flags that users of other programs know a setting by."""
    extra = field.json_schema_extra
    names = extra.get("flags") if isinstance(extra, dict) else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _is_repeated(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("repeated"))


class _Comma(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        parts = [part.strip() for value in values for part in value.split(",")]
        setattr(namespace, self.dest, [part for part in parts if part])


def _boolean(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def _normalised(argv: Sequence[str]) -> list[str]:
    """``--use_sample_data=x`` -> ``--use-sample-data=x``; values are left alone."""
    out = []
    for word in argv:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            word = name.replace("_", "-") + equals + value
        out.append(word)
    return out


def _unknown_argument(word: str, model: type[Settings], prog: str) -> SettingsError:
    if not word.startswith("-"):
        return SettingsError(f"Unexpected argument {word!r}.", remedy=f"{prog} --help")
    flags = [flag_name(name) for name in model.model_fields]
    return SettingsError(
        f"Unknown flag {word.split('=')[0]!r}.",
        remedy=f"{nearest(word.split('=')[0], flags)} ({prog} --help)",
    )


def _plain(field: FieldInfo) -> Any:
    """The field's type without ``| None``."""
    kind = field.annotation
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        inner = [one for one in typing.get_args(kind) if one is not type(None)]
        return inner[0] if len(inner) == 1 else kind
    return kind


def _is_yaml_only(field: FieldInfo) -> bool:
    return typing.get_origin(_plain(field)) is dict


def _metavar(field: FieldInfo) -> str:
    kind = _plain(field)
    return {int: "N", float: "X", str: "TEXT"}.get(kind, "PATH")


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


_BOUNDS = {"gt": "over", "ge": "at least", "lt": "under", "le": "at most"}


def _describe(field: FieldInfo) -> str:
    bounds = [
        f"{words} {getattr(one, name)}"
        for one in field.metadata
        for name, words in _BOUNDS.items()
        if getattr(one, name, None) is not None
    ]
    return (field.description or "") + (f" ({', '.join(bounds)})" if bounds else "")
