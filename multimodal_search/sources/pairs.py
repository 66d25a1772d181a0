"""Pictures with captions in one file: CSV, TSV, JSON lines or Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multimodal_search.errors import DataError
from multimodal_search.sources import fields
from multimodal_search.sources.paths import Place, folder_of, open_folder
from multimodal_search.sources.rows import Rows, read_rows
from multimodal_search.storage import is_s3
from multimodal_search.types import Failure, Item, Series

IMAGE_COLUMNS = ("image_path", "image", "filepath", "file", "file_name", "filename", "path")
TEXT_COLUMNS = ("text", "caption", "title", "description", "texts", "captions")
_OPTIONAL = {
    "id": ("id",),
    "scene_id": ("scene_id", "scene"),
    "group": ("group", "log"),
    "location": ("location",),
    "timestamp": ("timestamp", "timestamp_us"),
}


class PairsSource:
    """An item a picture; rows that repeat a picture give it further texts.

    A picture is its own scene unless a ``scene_id`` column says otherwise. Columns that mean nothing here
    become metadata.

    Args:
        file: the file, or its ``s3://`` address; image paths are relative to its folder.
        limit: the first so many scenes.
    """

    kind = "pairs"
    licence: str | None = None
    official_splits: Mapping[str, str] | None = None

    def __init__(self, file: str | Path, *, limit: int | None = None) -> None:
        self._file: Place = file if is_s3(file) else Path(file).expanduser()
        self._folder = open_folder(folder_of(self._file))
        self.root = self._folder.root
        self.failures: list[Failure] = []
        self._limit = limit
        self._items: list[Item] | None = None

    def items(self) -> list[Item]:
        """The pictures, scenes together, in order of first appearance.

        Raises:
            DataError: the file is missing, malformed, lacks a column, or leaves no usable picture.
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
        """None: pairs have no signals."""
        return None

    def _read(self) -> list[Item]:
        rows = read_rows(self._file)
        columns = _columns(rows)
        gathered: dict[str, _Gathered] = {}
        for where, row in rows:
            self._gather(row, columns, where, gathered)
        here = self._folder.present(one.image_path for one in gathered.values())
        scenes: dict[str, list[Item]] = {}
        for key, one in gathered.items():
            if one.image_path not in here:
                self.failures.append(Failure(key, one.image_path, "image missing"))
                continue
            item = one.item(key)
            scenes.setdefault(item.scene_id, []).append(item)
        if not scenes:
            reason = f"{len(gathered)} pictures, none of the files is there" if gathered else "it has no rows"
            raise DataError(
                f"No usable pair: {reason}.",
                where=self._file,
                remedy=f"image paths are relative to {self.root}",
            )
        chosen = list(scenes.values())[: self._limit]
        return [item for items in chosen for item in items]

    def _gather(
        self, row: Mapping[str, Any], columns: _Columns, where: str, gathered: dict[str, _Gathered]
    ) -> None:
        try:
            texts = fields.texts(row.get(columns.text))
            known = {name: row.get(column) for name, column in columns.optional.items()}
            names = {name: fields.name(known.get(name)) for name in ("id", "scene_id", "group", "location")}
            timestamp_us = fields.timestamp_us(known.get("timestamp"))
        except ValueError as error:
            raise DataError(
                f"A value cannot be used: {error}.", where=where, remedy="correct the row"
            ) from error
        written = row.get(columns.image)
        if written is None or (isinstance(written, str) and not written.strip()):
            self.failures.append(Failure(where, None, "the row names no image"))
            return
        if not isinstance(written, str):
            raise DataError(
                f"Column {columns.image!r} must hold paths, not {fields.shown(written)}.",
                where=where,
                remedy="save the images as files and write their paths relative to the table's folder",
            )
        image_path = self._folder.relative(written.strip(), where)
        key = names["id"] or image_path
        one = gathered.get(key)
        if one is None:
            rest = {name: value for name, value in row.items() if name not in columns.used}
            gathered[key] = _Gathered(where, image_path, names, timestamp_us, rest, list(texts))
        elif one.image_path != image_path:
            raise DataError(
                f"id {key!r} is there twice, with {one.image_path!r} and {image_path!r}.",
                where=f"{one.where} and {where}",
                remedy="give every picture an id of its own, or leave the id column out",
            )
        else:
            one.texts.extend(texts)


@dataclass(slots=True)
class _Gathered:
    """What the rows said of one picture; the first row decides all but the texts."""

    where: str
    image_path: str
    names: Mapping[str, str | None]
    timestamp_us: int | None
    rest: Mapping[str, Any]
    texts: list[str] = field(default_factory=list)

    def item(self, key: str) -> Item:
        return Item(
            id=key,
            scene_id=self.names["scene_id"] or key,
            timestamp_us=self.timestamp_us,
            image_path=self.image_path,
            text=tuple(dict.fromkeys(self.texts)),
            location=self.names["location"],
            group=self.names["group"],
            metadata=fields.flat(self.rest),
        )


@dataclass(frozen=True, slots=True)
class _Columns:
    image: str
    text: str
    optional: Mapping[str, str]

    @property
    def used(self) -> set[str]:
        return {self.image, self.text, *self.optional.values()}


def _columns(rows: Rows) -> _Columns:
    """Which column is what, whatever its case.

    Raises:
        DataError: no column for the picture or for the text.
    """
    by_name = {name.strip().lower(): name for name in reversed(rows.columns)}

    def first(candidates: tuple[str, ...]) -> Iterator[str]:
        return (by_name[one] for one in candidates if one in by_name)

    image, text = next(first(IMAGE_COLUMNS), None), next(first(TEXT_COLUMNS), None)
    missing = [
        f"a picture ({', '.join(IMAGE_COLUMNS)})" if image is None else "",
        f"a text ({', '.join(TEXT_COLUMNS)})" if text is None else "",
    ]
    if image is None or text is None:
        raise DataError(
            f"No column for {' nor for '.join(one for one in missing if one)}; "
            f"found: {', '.join(rows.columns) or 'none'}.",
            where=rows.file,
            remedy="name the columns in the first line, for example image_path,text",
        )
    optional = {name: found for name, names in _OPTIONAL.items() if (found := next(first(names), None))}
    return _Columns(image, text, optional)
