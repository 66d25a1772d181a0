"""What a folder of views is made with, and which specimens it holds: what a rerun goes by."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multimodal_search.errors import OutputError
from multimodal_search.rendering.crew import Outcome
from multimodal_search.rendering.specimens import Specimen
from multimodal_search.storage import output_error, write_atomically, write_json
from multimodal_search.types import Failure

MANIFEST, JOURNAL, FAILURES = "manifest.json", "rendered.jsonl", "failures.jsonl"
_FORMAT = 1


class Record:
    """The manifest and the journal of a folder of views.

    A line of the journal says that a specimen's file (by its key) has all its views, or none and why.

    Args:
        folder: it exists, and no other run writes to it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines: dict[str, dict[str, Any]] = {}
        self._pending: list[str] = []
        self._made_with = self._read_manifest()
        if self._made_with is not None:
            self._read_journal()

    def claim(self, made_with: Mapping[str, Any], *, overwrite: bool) -> None:
        """Note what the views are made with.

        Raises:
            OutputError: here are views that were made otherwise.
        """
        if self._made_with is not None and self._made_with != made_with and not overwrite:
            raise OutputError(
                f"Here are views that were made otherwise: {_difference(self._made_with, made_with)}.",
                where=self._folder,
                remedy="the same settings, another --out, or --overwrite: vectors of both do not compare",
            )
        if overwrite or self._made_with is None:
            self._forget_all()
        self._made_with = dict(made_with)
        write_json(self._folder / MANIFEST, {"record": _FORMAT, **made_with})

    def is_done(self, specimen: Specimen, names: list[str]) -> bool:
        """Whether this file has its views, or can have none."""
        line = self._lines.get(specimen.id)
        if line is None or not specimen.key or line["key"] != specimen.key:
            return False
        if line.get("reason"):
            return not line.get("again")
        try:
            return all((self._folder / name).stat().st_size for name in names)
        except OSError:
            return False

    def _forget_all(self) -> None:
        """Also the views themselves: of fewer views, the last ones would stay beside them."""
        for name, line in self._lines.items():
            if not line.get("reason"):
                self._remove_views(name)
        (self._folder / JOURNAL).unlink(missing_ok=True)
        self._lines = {}

    def _remove_views(self, specimen: str) -> None:
        made = self._made_with or {}
        for view in range(int(made.get("views", 0))):
            (self._folder / f"{specimen}_view{view:02d}.{made.get('format')}").unlink(missing_ok=True)

    def note(self, specimen: Specimen, outcome: Outcome) -> None:
        """What became of a specimen; on the disk with the next ``save``."""
        line: dict[str, Any] = {"id": specimen.id, "key": specimen.key}
        if outcome.reason is not None:
            if specimen.id in self._lines and not self._lines[specimen.id].get("reason"):
                self._remove_views(specimen.id)  # of the file as it was before
            line |= {"reason": outcome.reason, "again": outcome.again}
        if outcome.notes:
            line["notes"] = list(outcome.notes)
        self._lines[specimen.id] = line
        self._pending.append(json.dumps(line) + "\n")

    def save(self) -> None:
        """Put the lines on the disk, after the views that they speak of.

        Raises:
            OutputError: the disk is full or not writable.
        """
        if not self._pending:
            return
        os.sync()  # once for many views
        path = self._folder / JOURNAL
        try:
            with path.open("a", encoding="utf-8") as file:
                file.writelines(self._pending)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise output_error(error, path) from error
        self._pending = []

    def failures(self, specimens: list[Specimen]) -> list[Failure]:
        """Those of these specimens that have no views, and why."""
        lines = [(one, self._lines.get(one.id, {})) for one in specimens]
        return [Failure(one.id, str(one.file), line["reason"]) for one, line in lines if line.get("reason")]

    def others(self, specimens: list[Specimen]) -> list[str]:
        """Ids that have views here, and no file any more."""
        known = {one.id for one in specimens}
        return [name for name, line in self._lines.items() if name not in known and not line.get("reason")]

    def write_failures(self, failures: list[Failure]) -> None:
        """``failures.jsonl`` anew.

        Raises:
            OutputError: the disk is full or not writable.
        """
        with write_atomically(self._folder / FAILURES) as file:
            for one in failures:
                line = json.dumps({"id": one.id, "path": one.path, "reason": one.reason}, ensure_ascii=False)
                file.write(line.encode("utf-8", "backslashreplace") + b"\n")

    def _read_manifest(self) -> dict[str, Any] | None:
        path = self._folder / MANIFEST
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            if held.pop("record") != _FORMAT:
                raise ValueError("another format")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise OutputError(
                f"The folder's manifest cannot be read: {error}.", where=path, remedy="another --out"
            ) from error
        return dict(held)

    def _read_journal(self) -> None:
        try:
            lines = (self._folder / JOURNAL).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                one = json.loads(line)
                self._lines[one["id"]] = one
            except (ValueError, KeyError, TypeError):  # cut by a kill: rendered again
                continue


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return ", ".join(f"{name} {old.get(name)}, not {new.get(name)}" for name in names[:4])
