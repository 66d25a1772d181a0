"""All views of one specimen: drawn, looked at, written."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from multimodal_search.errors import SkipInput
from multimodal_search.rendering.cameras import cameras
from multimodal_search.rendering.model import prepare
from multimodal_search.rendering.reading import read_shape
from multimodal_search.rendering.renderer import Picture, Renderer
from multimodal_search.rendering.shape import Colours, Shape
from multimodal_search.types import FloatArray

LEAST_COVERAGE = 0.3
"""Share of the side that every view must span; framing aims at more."""
_PNG_EFFORT = 3  # a third of the time of zlib's default, 5 % larger
_JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True)
class Looks:
    """How specimens are looked at; the same for all of a folder.

    Attributes:
        up: axis of the files that points up.
        align: ``none``, or ``principal``: each specimen is turned to its own axes first.
        format: png or jpg.
    """

    views: int = 12
    size: int = 768
    seed: int = 0
    elevations: tuple[float, ...] = ()
    background: str = "white"
    up: str = "z"
    align: str = "none"
    format: str = "png"

    def axes(self) -> FloatArray:
        """(views, 3, 3): see ``cameras.cameras``."""
        return cameras(self.views, seed=self.seed, elevations=self.elevations)


def view_path(out: Path, specimen: str, view: int, looks: Looks) -> Path:
    """``<out>/<category>/<name>_viewNN.png``."""
    return out / f"{specimen}_view{view:02d}.{looks.format}"


def draw_views(shape: Shape, renderer: Renderer, looks: Looks) -> Iterator[Picture]:
    """Each view in turn.

    Raises:
        SkipInput: it cannot be drawn, or a view is empty.
    """
    model = prepare(shape, looks.up, aligned=looks.align == "principal")
    for view, axes in enumerate(looks.axes()):
        picture = renderer.draw(model, axes)
        if coverage(picture) < LEAST_COVERAGE:
            raise SkipInput(f"view {view} came out empty ({renderer.name})")
        yield picture


def coverage(picture: Picture) -> float:
    """Share of the picture's side that the longer extent of the specimen spans."""
    columns = np.flatnonzero(picture.seen.any(axis=0))
    rows = np.flatnonzero(picture.seen.any(axis=1))
    if not len(columns):
        return 0.0
    longest = max(columns[-1] - columns[0], rows[-1] - rows[0]) + 1
    return float(longest / min(picture.seen.shape))


def render_file(file: Path, out: Path, specimen: str, renderer: Renderer, looks: Looks) -> tuple[str, ...]:
    """Read a file and write its views, each whole or not at all.

    Returns:
        Notes on what was left out.

    Raises:
        SkipInput: it cannot be read or drawn; no view is left of it.
        OSError: the views cannot be written.
    """
    shape = read_shape(file)
    # all are drawn before the first is written: a specimen has all its views or none
    pictures = [encoded(one.pixels, looks.format) for one in draw_views(shape, renderer, looks)]
    for view, content in enumerate(pictures):
        path = view_path(out, specimen, view, looks)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return shape.notes


def encoded(pixels: Colours, form: str) -> bytes:
    """A PNG or JPEG file of (height, width, 3) uint8."""
    content = io.BytesIO()
    if form == "jpg":
        Image.fromarray(pixels).save(content, "JPEG", quality=_JPEG_QUALITY)
    else:
        Image.fromarray(pixels).save(content, "PNG", compress_level=_PNG_EFFORT)
    return content.getvalue()
