"""Small pictures of specimens for the page: one view, and a sheet of all views."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from multimodal_search.storage import ensure_writable_folder, write_atomically

THUMB_PX, TILE_PX, COLUMNS = 128, 120, 6
_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Pictures:
    """Of one specimen: paths relative to the page's folder.

    Attributes:
        size: (width, height) of the sheet.
    """

    thumb: str
    sheet: str
    views: int
    size: tuple[int, int]


def pictures_of(specimen: str, views: Sequence[Path], folder: Path) -> Pictures:
    """Make what is missing; names change with the views, so that no browser shows an old one.

    Args:
        views: files, the first is the thumbnail.
        folder: gets ``thumbs/`` and ``sheets/``.

    Raises:
        OutputError: the disk is full or not writable.
        OSError: a view cannot be read.
    """
    digest = hashlib.blake2b(specimen.encode("utf-8", "surrogatepass"), digest_size=8)
    for view in views:
        status = view.stat()
        digest.update(f"{view.name} {status.st_size} {status.st_mtime_ns}".encode("utf-8", "surrogatepass"))
    name = f"{digest.hexdigest()}.jpg"
    rows = -(-len(views) // COLUMNS)
    size = (TILE_PX * min(COLUMNS, len(views)), TILE_PX * rows)
    made = Pictures(f"thumbs/{name}", f"sheets/{name}", len(views), size)
    if not ((folder / made.thumb).is_file() and (folder / made.sheet).is_file()):
        _draw(views, folder, made)
    return made


def remove_others(folder: Path, kept: Sequence[Pictures]) -> None:
    """Remove pictures of specimens that are gone or have changed."""
    wanted = {name for one in kept for name in (one.thumb, one.sheet)}
    for path in [*(folder / "thumbs").glob("*.jpg"), *(folder / "sheets").glob("*.jpg")]:
        if path.relative_to(folder).as_posix() not in wanted:
            path.unlink(missing_ok=True)


def _draw(views: Sequence[Path], folder: Path, made: Pictures) -> None:
    sheet = Image.new("RGB", made.size, "white")
    for number, view in enumerate(views):
        with Image.open(view) as picture:
            small = picture.convert("RGB").resize(
                (THUMB_PX, THUMB_PX), Image.Resampling.BOX, reducing_gap=2.0
            )
        if number == 0:
            _save(small, folder / made.thumb)
        tile = small.resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
        sheet.paste(tile, (TILE_PX * (number % COLUMNS), TILE_PX * (number // COLUMNS)))
    _save(sheet, folder / made.sheet)


def _save(picture: Image.Image, path: Path) -> None:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=_QUALITY, optimize=True)
    ensure_writable_folder(path.parent)
    with write_atomically(path) as file:
        file.write(content.getvalue())
