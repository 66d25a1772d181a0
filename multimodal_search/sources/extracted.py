"""Scenes in a folder of one's own: ``scenes_metadata.json``, ``images/``, ``timeseries/<scene_id>.npy``."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from multimodal_search.errors import DataError
from multimodal_search.sources import fields
from multimodal_search.sources.paths import Folder, Place, below, open_folder
from multimodal_search.sources.series import Layout, read_layout, read_series
from multimodal_search.storage import S3Address, is_s3, list_objects, parse_s3, read_bytes
from multimodal_search.types import Failure, Item, Series

METADATA_FILE = "scenes_metadata.json"
SERIES_FOLDER = "timeseries"
_NEEDED = ("scene_id", "description", "image_path")
_KNOWN = {*_NEEDED, "images", "location", "timestamp", "group", "log", "metadata"}
_REMEDY = (
    f"{METADATA_FILE} is a list of objects with scene_id, description and image_path "
    "(optional: location, timestamp, log, metadata)"
)


class ExtractedSource:
    """An item a record: its picture, its descriptions, and its whole signal.

    Args:
        root: the folder, or ``s3://bucket/prefix``.
        limit: the first so many usable scenes.
        kind: what the bundle calls the source.
        licence: what the data's owner allows.
    """

    official_splits: Mapping[str, str] | None = None

    def __init__(
        self,
        root: Place,
        *,
        limit: int | None = None,
        kind: str = "extracted",
        licence: str | None = None,
    ) -> None:
        self._folder = open_folder(root)
        self.root = self._folder.root
        self.kind = kind
        self.licence = licence
        self.failures: list[Failure] = []
        self._limit = limit
        self._items: list[Item] | None = None

    def items(self) -> list[Item]:
        """The scenes, in the file's order.

        Raises:
            DataError: folder or metadata missing, malformed, or without a usable scene; or S3 cannot be
                reached or refuses.
        """
        if self._items is None:
            self._items = self._read()
        return self._items

    def image_file(self, path: str) -> Place:
        """The file or object of an item's image.

        Raises:
            DataError: the path leaves the folder.
        """
        return self._folder.file(path)

    def image_key(self, path: str) -> str:
        """As ``Folder.key``."""
        return self._folder.key(path)

    def series(self, item: Item) -> Series | None:
        """The scene's whole signal, at its own rate. For threads, too.

        Raises:
            SkipInput: the file cannot be used.
            DataError: ``channels.json`` cannot be understood; or S3 cannot be reached.
        """
        if item.series_path is None:
            return None
        return read_series(self._folder.file(item.series_path), self._layout, patient=True)

    @cached_property
    def _layout(self) -> Layout:
        return read_layout(below(self.root, SERIES_FOLDER))

    def _read(self) -> list[Item]:
        path = below(self.root, METADATA_FILE)
        records = _load(self._folder, path)
        seen: dict[str, int] = {}
        parsed_items: list[Item] = []
        for index, record in enumerate(records):
            where = f"{path}, record {index} (counting from 0)"
            parsed = self._parse(record, where)
            if parsed.scene_id in seen:
                raise DataError(
                    f"scene_id {parsed.scene_id!r} is there twice: "
                    f"records {seen[parsed.scene_id]} and {index} (counting from 0).",
                    where=path,
                    remedy="give every scene an id of its own; several descriptions of one go into a list",
                )
            seen[parsed.scene_id] = index
            # every record is checked, also beyond the limit, so that a fault shows before hours of work
            parsed_items.append(parsed)
        items = self._usable(parsed_items)
        if not items:
            reason = self.failures[0].reason if self.failures else "the list is empty"
            raise DataError(
                f"No usable scene: {len(records)} records, {len(self.failures)} inputs skipped "
                f"(the first: {reason}).",
                where=path,
                remedy="check that image_path is relative to the data folder and that the files are there",
            )
        return items

    def _parse(self, record: Any, where: str) -> Item:
        if not isinstance(record, dict):
            raise DataError(
                f"A record must be an object, not {fields.shown(record)}.", where=where, remedy=_REMEDY
            )
        if isinstance(record.get("scene_id"), str):
            where = f"{where}, scene_id {record['scene_id']!r}"
        for key in _NEEDED:
            if key not in record:
                raise DataError(f"The record has no {key!r}.", where=where, remedy=_REMEDY)
        scene_id = _field(fields.name, record, "scene_id", where)
        if scene_id is None:
            raise DataError("scene_id is empty.", where=where, remedy="give every scene an id")
        metadata = record.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise DataError("metadata must be an object.", where=where, remedy=_REMEDY)
        metadata = fields.flat({**{k: v for k, v in record.items() if k not in _KNOWN}, **metadata})
        log = _field(fields.name, record, "log", where) or _field(fields.name, metadata, "log", where)
        if log is not None:
            metadata["log"] = log
        return Item(
            id=scene_id,
            scene_id=scene_id,
            timestamp_us=_field(fields.timestamp_us, record, "timestamp", where),
            image_path=self._path(record["image_path"], "image_path", where),
            images=self._cameras(record.get("images"), where),
            text=_field(fields.texts, record, "description", where),
            series_path=self._folder.relative(f"{SERIES_FOLDER}/{scene_id}.npy", where),
            location=_field(fields.name, record, "location", where),
            group=_field(fields.name, record, "group", where) or log,
            metadata=metadata,
        )

    def _path(self, written: Any, key: str, where: str) -> str | None:
        if written is None or written == "":
            return None
        if not isinstance(written, str):
            raise DataError(f"{key} must be text, not {fields.shown(written)}.", where=where, remedy=_REMEDY)
        return self._folder.relative(written, where)

    def _cameras(self, written: Any, where: str) -> dict[str, str]:
        if written is None:
            return {}
        if not isinstance(written, dict):
            raise DataError("images must be an object: camera -> path.", where=where, remedy=_REMEDY)
        paths = {str(camera): self._path(path, "images", where) for camera, path in written.items()}
        return {camera: path for camera, path in paths.items() if path is not None}

    def _usable(self, parsed: Sequence[Item]) -> list[Item]:
        """The first ``limit`` items of which some input is there; no more is looked for than they need."""
        items: list[Item] = []
        start = 0
        while start < len(parsed) and (self._limit is None or len(items) < self._limit):
            some = parsed[start : None if self._limit is None else start + self._limit - len(items)]
            start += len(some)
            here = self._folder.present(path for item in some for path in _named(item))
            items += [item for one in some if (item := self._without_missing(one, here)) is not None]
        return items

    def _without_missing(self, item: Item, here: Collection[str]) -> Item | None:
        """The item with the inputs that are there; None where neither picture nor signal is."""
        pictures = dict.fromkeys([*([item.image_path] if item.image_path else []), *item.images.values()])
        self.failures += [Failure(item.id, path, "image missing") for path in pictures if path not in here]
        image_path = item.image_path if item.image_path in here else None
        images = {camera: path for camera, path in item.images.items() if path in here}
        series_path = item.series_path if item.series_path in here else None
        if image_path is None and not images and series_path is None:
            if not pictures:
                self.failures.append(Failure(item.id, None, "neither an image nor a series"))
            return None
        return replace(item, image_path=image_path, images=images, series_path=series_path)


def _field(parse: Any, record: Mapping[str, Any], key: str, where: str) -> Any:
    try:
        return parse(record.get(key))
    except ValueError as error:
        raise DataError(f"{key}: {error}.", where=where, remedy=_REMEDY) from error


def _named(item: Item) -> list[str]:
    paths = [item.image_path, *item.images.values(), item.series_path]
    return [path for path in paths if path is not None]


def _check_folder(root: Place) -> None:
    """A folder that is not there at all, or nothing under a prefix: what the flag names is wrong."""
    if is_s3(root):
        bucket, prefix = parse_s3(str(root))
        missing = next(list_objects(S3Address(bucket, f"{prefix}/" if prefix else "")), None) is None
        what = f"Nothing is stored below {root}."
    else:
        missing = not Path(root).is_dir()
        what = (
            f"{root} is a file, not a data folder."
            if Path(root).exists()
            else f"The data folder {root} does not exist."
        )
    if missing:
        raise DataError(
            what, where="--data-dir", remedy="check the path; --use-sample-data needs no data at all"
        )


def _load(folder: Folder, path: Place) -> list[Any]:
    try:
        content = json.loads(read_bytes(path).decode("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError) as error:
        _check_folder(folder.root)
        raise DataError(
            f"There is no {METADATA_FILE} in {folder.root}.",
            where=path,
            remedy=f"{_REMEDY}; for nuScenes use --nuscenes-path with --use-devkit, for captions --pairs",
        ) from error
    except DataError:  # S3's, which says it all
        raise
    except OSError as error:
        raise DataError(f"{METADATA_FILE} cannot be read: {error}.", where=path, remedy="check it") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{METADATA_FILE} is not UTF-8 (byte {error.start}).", where=path, remedy="save it as UTF-8"
        ) from error
    except json.JSONDecodeError as error:
        raise DataError(
            f"{METADATA_FILE} is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno}).",
            where=f"{path}:{error.lineno}:{error.colno}",
            remedy="correct that place; a comma too many or a missing quote is the usual cause",
        ) from error
    except (RecursionError, ValueError) as error:  # nested without end; a number of too many digits
        raise DataError(f"{METADATA_FILE} cannot be read: {error}.", where=path, remedy=_REMEDY) from error
    if not isinstance(content, list):
        raise DataError(
            f"{METADATA_FILE} holds {type(content).__name__}, a list is wanted.", where=path, remedy=_REMEDY
        )
    return content
