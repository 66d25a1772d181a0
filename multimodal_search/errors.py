"""What can go wrong for a user: each message says what, where, and the way out."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from types import ModuleType
from typing import Any


class ProjectError(ValueError):
    """A user's mistake or a missing thing; commands print it in one block and exit with 2.

    Args:
        what: the problem, with the offending value.
        where: the file, record or flag it was found in.
        remedy: what to do next.
    """

    def __init__(self, what: str, *, where: object | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.remedy = remedy
        lines = [what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if remedy:
            lines.append(f"  to do: {remedy}")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.what, self.where, self.remedy)


def _rebuild(kind: type[ProjectError], what: str, where: str | None, remedy: str | None) -> ProjectError:
    return kind(what, where=where, remedy=remedy)


class SettingsError(ProjectError):
    """A flag or a YAML key that is unknown, contradictory or out of range."""


class DataError(ProjectError):
    """Input data that is absent or cannot be understood as a whole."""


class EncoderError(ProjectError):
    """An encoder that is unknown, cannot be loaded, or is not the one that made the data."""


class BundleError(ProjectError):
    """A bundle or a feature table that is absent, incomplete or made by something else."""


class OutputError(ProjectError):
    """Output that cannot be written: permissions, a full disk, another run in the way."""


class MissingDependencyError(ProjectError, ImportError):
    """An optional package that is not installed."""


class SkipInput(Exception):  # noqa: N818  it is a signal to skip one input, not an error of the run
    """One input that cannot be used; the job counts it, lists the reason, and goes on.

    Args:
        reason: for the list of failures.
        again: whether another run may find it usable (a network's fault, not the input's).
    """

    def __init__(self, reason: str, *, again: bool = False) -> None:
        self.reason = reason
        self.again = again
        super().__init__(reason)


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional module, or say which extra brings it.

    Raises:
        MissingDependencyError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"The optional package {module!r} is needed here and could not be imported ({error}).",
            remedy=f"pip install 'multimodal-search[{extra}]'",
        ) from error


def nearest(name: str, known: list[str] | tuple[str, ...], count: int = 3) -> str:
    """A phrase such as ``did you mean 'a' or 'b'?``, or the known names where none is near."""
    close = get_close_matches(name, known, n=count, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(one) for one in close) + "?"
    return "known: " + ", ".join(sorted(known)[:20])
