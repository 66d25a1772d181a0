"""``umap.png`` and ``training.png``, through matplotlib's object interface: no window, no global state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.neighbors import NearestNeighbors

from multimodal_search.analysis.colours import FAINT, INK, MARKERS, PALETTE, drawable
from multimodal_search.storage import write_atomically
from multimodal_search.types import FloatArray, Item

MAP_FILE = "umap.png"
TRAINING_FILE = "training.png"

_PREFERRED = ("location", "weather", "manoeuvre", "time_of_day", "place")
_DOTS_PER_INCH = 130
_MOST_COMPARED = 5000


def plot_map(path: Path, items: Sequence[Item], coordinates: FloatArray, *, unseen: frozenset[str]) -> None:
    """Draw the scenes twice: coloured by location (or weather), and by the metadata that the map groups best.

    Args:
        items: one a scene.
        coordinates: (scenes, 2).
        unseen: test scenes, drawn with a dark edge.

    Raises:
        OutputError: the file cannot be written.
    """
    keys = colour_keys(items)
    telling = max(keys[1:], key=lambda key: agreement(items, coordinates, key), default=None)
    panels: list[str | None] = [keys[0] if keys else None, *([telling] if telling else [])]
    figure = Figure(figsize=(7.6 * len(panels), 7.0), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, key in zip(axes, panels, strict=True):
        _map_panel(ax, items, coordinates, key, unseen)
    figure.suptitle(
        f"{len(items)} scenes in the common space (UMAP; near means alike)", fontsize=14, color=INK
    )
    if unseen & {item.scene_id for item in items}:
        figure.supxlabel("dark edge: scenes that no head was trained on", fontsize=10, color=FAINT)
    _save(figure, path)


def _map_panel(
    ax: Axes, items: Sequence[Item], coordinates: FloatArray, key: str | None, unseen: frozenset[str]
) -> None:
    values = [_value(item, key) for item in items] if key else ["" for _ in items]
    kinds = [kind for kind, _ in Counter(values).most_common()]
    size = float(np.clip(4000 / max(1, len(items)), 8, 70))
    edges = np.array([0.9 if item.scene_id in unseen else 0.0 for item in items])
    for number, kind in enumerate(kinds):
        mine = np.array([value == kind for value in values])
        ax.scatter(
            coordinates[mine, 0],
            coordinates[mine, 1],
            s=size,
            c=FAINT if kind == "unknown" else PALETTE[number % len(PALETTE)],
            marker=MARKERS[number % len(MARKERS)],
            alpha=0.85,
            edgecolors=INK,
            linewidths=edges[mine],
            label=f"{drawable(kind)} ({int(mine.sum())})",
        )
    if key:
        ax.set_title(f"coloured by {drawable(key.replace('_', ' '))}", fontsize=12, color=INK)
        legend = ax.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=9, loc="best")
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set_sizes([45])
                handle.set_linewidth(0)
    ax.set_xlabel("UMAP 1 (no unit)", color=INK)
    ax.set_ylabel("UMAP 2 (no unit)", color=INK)
    ax.margins(0.06)
    _calm(ax)


def colour_keys(items: Sequence[Item]) -> list[str]:
    """What can colour the map: location, weather, then other metadata, each with 2 to 10 values."""
    others = sorted({str(key) for item in items for key in item.metadata} - set(_PREFERRED))
    found = []
    for key in (*_PREFERRED, *others):
        values = Counter(_value(item, key) for item in items)
        known = {value: count for value, count in values.items() if value != "unknown"}
        # a value a scene would be a list of names, not a grouping
        if 2 <= len(known) <= 10 and sum(known.values()) >= 2 * len(known) and len(known) * 2 <= len(items):
            found.append(key)
    return found


def agreement(items: Sequence[Item], coordinates: FloatArray, key: str) -> float:
    """How much more often than by chance a scene's ten neighbours on the map share its value; 0 is chance."""
    some = np.linspace(0, len(items) - 1, min(len(items), _MOST_COMPARED)).astype(np.int64)
    values = np.unique([_value(items[index], key) for index in some], return_inverse=True)[1]
    near = NearestNeighbors(n_neighbors=min(11, len(some))).fit(coordinates[some])
    neighbours = near.kneighbors(return_distance=False, n_neighbors=min(10, len(some) - 1))
    shares = np.bincount(values) / len(values)
    return float((values[neighbours] == values[:, None]).mean() - np.square(shares).sum())


def _value(item: Item, key: str | None) -> str:
    if key == "location" and item.location:
        return item.location
    value = item.metadata.get(key) if key else None
    return "unknown" if value is None or value == "" or isinstance(value, float) else str(value)


def plot_training(path: Path, history: Sequence[Mapping[str, float]], *, val_scenes: int) -> bool:
    """Draw loss and retrieval on the validation scenes by epoch; False where there is no curve to draw.

    Args:
        history: ``epoch``, ``train/loss``, ``val/mrr``, ``val/a->b``; epoch 0 is the start.
        val_scenes: gallery of the validation figure, for the chance line.

    Raises:
        OutputError: the file cannot be written.
    """
    if len(history) < 2:
        return False
    measured = any(name.startswith("val/") for entry in history for name in entry)
    figure = Figure(figsize=(9.0, 7.6 if measured else 4.6), layout="constrained")
    panels = figure.subplots(2 if measured else 1, 1, sharex=True, squeeze=False)[:, 0]
    _loss_panel(panels[0], history)
    if measured:
        _retrieval_panel(panels[1], history, val_scenes)
    else:
        figure.supxlabel("no validation scenes were held out", fontsize=10, color=FAINT)
    panels[-1].set_xlabel("epoch (0: the start, before any step)", color=INK)
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle("Training of the heads", fontsize=14, color=INK)
    _save(figure, path)
    return True


def _loss_panel(ax: Axes, history: Sequence[Mapping[str, float]]) -> None:
    epochs, loss = _curve(history, "train/loss")
    ax.plot(epochs, loss, color=PALETTE[0], marker="o", markersize=3, linewidth=1.8)
    ax.set_ylabel("training loss (nats)", color=INK)
    _calm(ax)


def _retrieval_panel(ax: Axes, history: Sequence[Mapping[str, float]], val_scenes: int) -> None:
    names = [name for name in dict.fromkeys(k for entry in history for k in entry) if name.startswith("val/")]
    directions = [name for name in names if "->" in name]
    for number, name in enumerate(directions):
        epochs, values = _curve(history, name)
        label = name.removeprefix("val/").replace("->", " → ")
        ax.plot(epochs, values, color=PALETTE[number % len(PALETTE)], linewidth=1.2, alpha=0.75, label=label)
    epochs, values = _curve(history, "val/mrr")
    if len(values):
        ax.plot(epochs, values, color=INK, linewidth=2.4, label="mean of all")
        best = int(np.argmax(values))
        ax.axvline(epochs[best], color=FAINT, linewidth=1, linestyle=":")
        ax.scatter([epochs[best]], [values[best]], s=60, color=PALETTE[3], zorder=5)
        where = "start" if epochs[best] == 0 else f"epoch {epochs[best]:g}"
        ax.annotate(
            f"best: {values[best]:.3f} ({where})",
            (epochs[best], values[best]),
            xytext=(-8, 9) if epochs[best] > epochs[-1] / 2 else (8, 9),
            textcoords="offset points",
            ha="right" if epochs[best] > epochs[-1] / 2 else "left",
            fontsize=10,
            color=PALETTE[3],
        )
    if val_scenes > 1:
        level = float(np.sum(1.0 / np.arange(1, val_scenes + 1)) / val_scenes)
        label = f"chance among {val_scenes} scenes ({level:.3f})"
        ax.axhline(level, color=FAINT, linewidth=1.2, linestyle="--", label=label)
    ax.set_ylim(0, 1.08)
    ax.set_ylabel("mean reciprocal rank on validation scenes", color=INK)
    if names:
        ax.legend(fontsize=8.5, ncols=2, frameon=True, framealpha=0.85, edgecolor="none", loc="best")
    _calm(ax)


def _curve(history: Sequence[Mapping[str, float]], name: str) -> tuple[FloatArray, FloatArray]:
    known = [(entry["epoch"], entry[name]) for entry in history if name in entry and np.isfinite(entry[name])]
    points = np.asarray(known, dtype=np.float64).reshape(-1, 2)
    return points[:, 0], points[:, 1]


def _calm(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25, linewidth=0.6)
    ax.tick_params(colors=INK, labelsize=9)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    options: dict[str, Any] = {"dpi": _DOTS_PER_INCH, "facecolor": "white", "metadata": {"Software": None}}
    with write_atomically(path) as file:
        figure.savefig(file, format="png", **options)
