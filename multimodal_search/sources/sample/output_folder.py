"""A folder that the sample world is written into: claimed by its parameters, filled file by file."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from multimodal_search.errors import DataError
from multimodal_search.sources.sample.world import VERSION
from multimodal_search.storage import ensure_writable_folder, output_error, remove_leftovers, write_json

PARAMETERS_FILE = "sample.json"
_T = TypeVar("_T")


def claim(out: str | Path, parameters: Mapping[str, Any]) -> Path:
    """Make the folder for these parameters, or find it as an earlier run left it.

    A world may be continued with more scenes, since its first scenes stay the same; anything else that
    differs would mix two worlds in one folder.

    Args:
        parameters: JSON-ready; ``scenes`` is their number.

    Raises:
        DataError: the folder holds another world, or files of something else.
        OutputError: nothing can be written there.
    """
    wanted = {"version": VERSION, **parameters}
    folder = ensure_writable_folder(out)
    record = folder / PARAMETERS_FILE
    remedy = "choose another folder, or remove this one"
    if not record.exists():
        if any(not path.name.startswith(".") for path in folder.iterdir()):
            raise DataError("The folder is not empty and holds no sample world.", where=folder, remedy=remedy)
        write_json(record, wanted)
        return folder
    try:
        found: Any = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{PARAMETERS_FILE} cannot be read: {error}", where=record, remedy=remedy) from error
    found = found if isinstance(found, dict) else {}
    differ = [name for name in wanted if name != "scenes" and found.get(name) != wanted[name]]
    if differ:
        said = ", ".join(f"{name} {found.get(name)!r} instead of {wanted[name]!r}" for name in differ)
        raise DataError(f"The folder holds another sample world: {said}.", where=folder, remedy=remedy)
    have = found.get("scenes", 0)
    if have > wanted["scenes"]:
        raise DataError(
            f"The folder holds {have} scenes, more than the {wanted['scenes']} asked for.",
            where=folder,
            remedy=f"ask for {have} scenes or more, or choose another folder",
        )
    if have < wanted["scenes"]:
        write_json(record, wanted)
    return folder


def put_missing(path: Path, make: Callable[[], bytes]) -> bool:
    """Write a file under a temporary name and rename it; a file that is there stays. True when written.

    Not synced to the disk one by one, unlike ``storage.write_atomically``: there are thousands, and any of
    them can be made again.

    Raises:
        OutputError: the file cannot be written.
    """
    if path.exists():
        return False
    content = make()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise output_error(error, path) from error
    return True


def make_folder(folder: Path) -> Path:
    """Make a folder inside a claimed one, without what a killed run left there.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, folder) from error
    remove_leftovers(folder)
    return folder


def with_progress(scenes: Iterable[_T], progress: bool) -> Iterator[_T]:
    """The scenes, with a bar on a terminal while they are worked on."""
    from tqdm import tqdm

    yield from tqdm(scenes, desc="sample world", unit="scene", disable=None if progress else True)
