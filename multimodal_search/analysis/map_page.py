"""``map.html``: the map in a browser, without a server or a network."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.analysis.colours import Colouring, colour_of
from multimodal_search.errors import require
from multimodal_search.storage import write_atomically
from multimodal_search.types import FloatArray

PAGE_FILE = "map.html"
_LONGEST_TEXT = 160


def write_page(
    path: Path,
    coordinates: FloatArray,
    colours: Colouring,
    *,
    title: str,
    ids: Sequence[str],
    texts: Sequence[str] | None,
) -> None:
    """A Plotly figure (WebGL points), with the program that draws it inside: 5 MB and the rows.

    A point tells its id, its text and its kind; a click on the legend hides a kind.

    Raises:
        MissingDependencyError: plotly is not installed.
        OutputError: the file cannot be written.
    """
    go = require("plotly.graph_objects", extra="analysis")
    notes = np.array([_note(one, texts[row] if texts else "") for row, one in enumerate(ids)], dtype=object)
    size = float(np.clip(30_000 / max(1, len(ids)) ** 0.9, 2, 9))
    figure = go.Figure(_traces(go, coordinates.astype(np.float32), colours, notes, size))
    figure.update_layout(
        title=html.escape(title),
        template="plotly_white",
        hoverlabel={"align": "left"},
        legend={"title": html.escape(colours.title), "itemsizing": "constant"},
        showlegend=bool(colours.title) and colours.amounts is None,
        xaxis={"visible": False},
        yaxis={"visible": False, "scaleanchor": "x"},
        dragmode="pan",
    )
    page = figure.to_html(
        include_plotlyjs=True, full_html=True, config={"scrollZoom": True, "displaylogo": False}
    )
    with write_atomically(path, "w") as file:
        file.write(page)


def _traces(go: Any, coordinates: FloatArray, colours: Colouring, notes: Any, size: float) -> list[Any]:
    def trace(mine: Any, name: str, marker: dict[str, Any]) -> Any:
        return go.Scattergl(
            x=coordinates[mine, 0],
            y=coordinates[mine, 1],
            mode="markers",
            name=html.escape(name),
            text=notes[mine],
            hovertemplate="%{text}<extra>" + html.escape(name).replace("%", "&#37;") + "</extra>",
            marker={"size": size, "opacity": 0.8, **marker},
        )

    if colours.amounts is not None:
        shade = {
            "color": colours.amounts,
            "colorscale": "Viridis",
            "colorbar": {"title": html.escape(colours.title)},
        }
        return [trace(slice(None), colours.title, shade)]
    return [
        trace(
            colours.codes == number,
            f"{kind} ({int((colours.codes == number).sum())})" if colours.title else "",
            {"color": colour_of(colours.kinds, number)},
        )
        for number, kind in enumerate(colours.kinds)
    ]


def _note(name: str, text: str) -> str:
    """What a point tells; plotly reads tags, so what the data says is escaped."""
    short = text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
    words = [short[start : start + 60] for start in range(0, len(short), 60)]
    return "<br>".join([f"<b>{html.escape(name)}</b>", *map(html.escape, words)])
