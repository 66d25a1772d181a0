"""What a renderer is, and which one the settings name."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from multimodal_search.errors import SettingsError
from multimodal_search.rendering.model import Model
from multimodal_search.types import FloatArray

_COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128), "gray": (128, 128, 128)}


class Picture(NamedTuple):
    """One view.

    Attributes:
        pixels: (height, width, 3) uint8.
        seen: (height, width) where the specimen is.
    """

    pixels: npt.NDArray[np.uint8]
    seen: npt.NDArray[np.bool_]


class Renderer(Protocol):
    """Draws one view after another; made once in each process."""

    name: str
    version: str

    def draw(self, model: Model, axes: FloatArray) -> Picture:
        """One view.

        Args:
            axes: (3, 3) right, up, towards the camera.

        Raises:
            SkipInput: the specimen cannot be drawn.
        """
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


def open_renderer(kind: str, side_px: int, background: str) -> Renderer:
    """The renderer that the settings name.

    Raises:
        SettingsError: a colour that is not known.
        MissingDependencyError: ``vtk`` is not installed.
    """
    colour = parse_colour(background)
    if kind == "vtk":
        from multimodal_search.rendering.vtk_renderer import VtkRenderer

        return VtkRenderer(side_px, colour)
    from multimodal_search.rendering.zbuffer import ZBuffer

    return ZBuffer(side_px, colour)


def parse_colour(name: str) -> tuple[int, int, int]:
    """(red, green, blue) of ``white``, ``black``, ``grey`` or ``#rrggbb``.

    Raises:
        SettingsError: another word.
    """
    if name.lower() in _COLOURS:
        return _COLOURS[name.lower()]
    digits = name.removeprefix("#")
    try:
        if len(digits) != 6 or not name.startswith("#"):
            raise ValueError
        red, green, blue = bytes.fromhex(digits)
    except ValueError:
        raise SettingsError(
            f"--background {name!r} is no colour.", remedy="white, black, grey, or #rrggbb (quote the #)"
        ) from None
    return red, green, blue
