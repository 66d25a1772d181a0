"""``map.png``, through matplotlib's object interface: no window, no global state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from multimodal_search.analysis.colours import (
    FAINT,
    INK,
    MARKERS,
    PALETTE,
    Colouring,
    colour_of,
    drawable,
    fonts,
)
from multimodal_search.storage import write_atomically
from multimodal_search.types import FloatArray

PICTURE_FILE = "map.png"
_DOTS_PER_INCH = 130


def draw_map(path: Path, coordinates: FloatArray, colours: Colouring, title: str) -> None:
    """Draw (n, 2) points by kind or by amount.

    Raises:
        OutputError: the file cannot be written.
    """
    with matplotlib.rc_context({"font.family": fonts()}):
        figure = Figure(figsize=(9.0, 7.0), layout="constrained")
        axes = figure.subplots()
        size = float(np.clip(20_000 / max(1, len(coordinates)), 0.4, 40))
        if colours.amounts is None:
            _kinds(axes, coordinates, colours, size)
        else:
            shown = axes.scatter(
                coordinates[:, 0], coordinates[:, 1], s=size, c=colours.amounts, cmap="viridis", linewidths=0
            )
            figure.colorbar(shown, ax=axes, label=drawable(colours.title, fonts()), shrink=0.8)
        axes.set_title(drawable(title, fonts()), fontsize=12, color=INK)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color("#cccccc")
        FigureCanvasAgg(figure)
        options: dict[str, Any] = {
            "dpi": _DOTS_PER_INCH,
            "facecolor": "white",
            "metadata": {"Software": None},
        }
        with write_atomically(path) as file:
            figure.savefig(file, format="png", **options)


def _kinds(axes: Axes, coordinates: FloatArray, colours: Colouring, size: float) -> None:
    few = len(coordinates) <= 5000
    for number, kind in enumerate(colours.kinds):
        mine = colours.codes == number
        axes.scatter(
            coordinates[mine, 0],
            coordinates[mine, 1],
            s=size,
            c=colour_of(colours.kinds, number),
            # past ten kinds colours repeat, and shapes tell them apart where points are large enough
            marker=MARKERS[number // len(PALETTE)] if few else "o",
            alpha=0.8,
            linewidths=0,
            label=f"{drawable(kind, fonts())} ({int(mine.sum())})",
            rasterized=True,
        )
    if colours.title:
        legend = axes.legend(
            title=drawable(colours.title, fonts()),
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
            fontsize=8,
            labelcolor=INK,
        )
        legend.get_title().set_color(FAINT)
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set_sizes([36])
