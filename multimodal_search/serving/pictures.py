"""Pictures of moments as a browser gets them: reduced, made anew, kept; never the file itself."""

from __future__ import annotations

import hashlib
import io
import logging
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from multimodal_search.embedding.images import Picture, decode
from multimodal_search.errors import ProjectError, SkipInput
from multimodal_search.serving.kept_files import KeptFiles
from multimodal_search.serving.problems import Refused
from multimodal_search.sources.paths import Place, below
from multimodal_search.storage import content_key, is_s3, read_bytes

_log = logging.getLogger(__name__)

WIDTHS_PX = (160, 320, 640)
LARGEST_PX = 1600
_QUALITY = 82
_FORMAT = "1"  # part of the name: another way to make them makes others
_GONE = "The picture of this moment is not there."


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture that is ready to be sent."""

    content: bytes
    etag: str


class Pictures:
    """Finds, reduces and keeps.

    Args:
        root: what the index's image paths are relative to; nothing outside of it is ever read. None: each
            bundle's own root.
        kept: what was made.
    """

    def __init__(self, root: str | None, kept: KeptFiles) -> None:
        self._root = root
        self._kept = kept

    def etag(self, image_path: str | None, bundle_root: Place, width_px: int) -> str:
        """What changes when the picture does.

        Raises:
            Refused: there is none, or it is outside of the root (404).
        """
        source = self._source(image_path, bundle_root)
        try:
            key = content_key(source)
        except (OSError, ProjectError):
            raise Refused(404, _GONE) from None
        return hashlib.sha256(f"{_FORMAT}|{source}|{key}|{width_px}".encode("utf-8", "replace")).hexdigest()[
            :40
        ]

    def jpeg(self, image_path: str | None, bundle_root: Place, width_px: int, etag: str) -> bytes:
        """The picture, at most so wide and twice so high; without the metadata of its file.

        Raises:
            Refused: there is none, it cannot be used, or it is outside of the root (404).
        """
        name = f"{etag}.jpg"
        made = self._kept.read(name)
        if made is None:
            made = self._made(self._source(image_path, bundle_root), width_px)
            self._kept.write(name, made)
        return made

    def _made(self, source: Place, width_px: int) -> bytes:
        try:
            content = read_bytes(source)
            picture = decode(content, at_least_px=(1, width_px))
        except (SkipInput, ProjectError, OSError):
            raise Refused(404, _GONE) from None
        return encoded(picture, width_px)

    def _source(self, image_path: str | None, bundle_root: Place) -> Place:
        if image_path is None:
            raise Refused(404, "This moment has no picture.")
        if is_s3(image_path):
            return image_path
        chosen = self._root if self._root is not None else bundle_root
        if is_s3(chosen):
            if ".." in Path(image_path).parts or Path(image_path).is_absolute():
                raise Refused(404, _GONE)
            return below(chosen, image_path)
        try:
            root = Path(chosen).resolve()
            path = (root / image_path).resolve()  # through every link
        except (OSError, ValueError, RuntimeError):
            raise Refused(404, _GONE) from None
        if not path.is_relative_to(root):
            _log.warning("the picture of a moment lies outside of the root, and is not shown: %s", image_path)
            raise Refused(404, _GONE)
        return path


def encoded(picture: Picture, width_px: int) -> bytes:
    """A JPEG of at most this width, and twice this height."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.thumbnail((width_px, 2 * width_px), Image.Resampling.LANCZOS, reducing_gap=2.0)
    memory = io.BytesIO()
    image.save(memory, "JPEG", quality=_QUALITY, optimize=True)
    return memory.getvalue()


def width_for(wanted_px: int) -> int:
    """One of few widths, so that few files are kept."""
    return next((one for one in WIDTHS_PX if one >= wanted_px), WIDTHS_PX[-1])
