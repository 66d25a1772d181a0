"""The page: the cluster map, and for each specimen its views and its neighbours. Plain files, no network."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from multimodal_search.analysis.cluster_files import CLUSTERS_FILE, SUMMARY_FILE, cluster_labels
from multimodal_search.analysis.colours import Colouring, colour_of, colouring
from multimodal_search.analysis.map_files import PARQUET_FILE as MAP_FILE
from multimodal_search.analysis.neighbors_write import PARQUET as NEIGHBORS_FILE
from multimodal_search.specimens.pictures import Pictures, pictures_of, remove_others
from multimodal_search.specimens.places import Places
from multimodal_search.storage import ensure_writable_folder, write_atomically

PAGE_FILE = "index.html"
ON_A_PAGE = 300
_MAP_PX = 640
_TYPICAL = 5

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:1180px;padding:0 16px 40px;
color:#222;background:#fff}
h1{font-size:24px;margin:20px 0 4px}h2{font-size:17px;margin:0 0 6px;overflow-wrap:anywhere}
a{color:#0b5cad}.quiet{color:#595959}nav{margin:8px 0}nav a{margin-right:10px}
.top{display:flex;flex-wrap:wrap;gap:24px;align-items:flex-start}
.top ul{list-style:none;padding:0;margin:0;columns:2}.top li{break-inside:avoid;margin-bottom:6px}
.dot{display:inline-block;width:11px;height:11px;border-radius:50%;margin-right:6px}
svg.map{border:1px solid #ddd;max-width:100%;height:auto}svg.map circle:hover{stroke:#000;stroke-width:2}
section{border-top:1px solid #ddd;padding:16px 0;scroll-margin-top:8px}section:target{background:#fff7dd}
.near{display:flex;flex-wrap:wrap;gap:8px;padding:0;margin:8px 0 0;list-style:none}
.near li{width:104px;font-size:12px;overflow-wrap:anywhere}.near img{width:104px;height:104px;display:block}
img{max-width:100%;height:auto;background:#fff}input{font:inherit;padding:5px 8px;width:min(420px,90%)}
"""
_FILTER = """
const box=document.getElementById('find'),all=[...document.querySelectorAll('section[data-name]')];
box.addEventListener('input',()=>{const words=box.value.toLowerCase().split(/\\s+/);
for(const one of all)one.hidden=!words.every(word=>one.dataset.name.includes(word));});
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page tells of the specimens, in the order of ids."""

    ids: list[str]
    pictures: list[Pictures]
    clusters: list[str]
    near: list[list[tuple[int, float]]]
    places: list[tuple[float, float]]
    colours: Colouring

    def link(self, row: int) -> str:
        """Where a specimen is on the page."""
        return f"{_file_of(row // ON_A_PAGE)}#s{row}"


def write_page(places: Places, title: str, *, failed: int) -> Path:
    """``index.html``, further pages where there are many specimens, and their small pictures.

    Args:
        failed: specimens that could not be rendered.

    Returns:
        ``index.html``.

    Raises:
        OutputError: the disk is full or not writable.
    """
    shown = _gather(places)
    count = -(-len(shown.ids) // ON_A_PAGE)
    for number in range(count - 1, -1, -1):  # the first one last: where it is, the others are
        rows = range(number * ON_A_PAGE, min((number + 1) * ON_A_PAGE, len(shown.ids)))
        parts = [_head(shown, places, title, failed) if number == 0 else f"<h1>{html.escape(title)}</h1>"]
        parts.append(_pages(count, number))
        parts.append(
            '<p><label>Show only <input id="find" placeholder="words of the name or cluster"></label></p>'
        )
        parts += [_section(shown, row) for row in rows]
        parts.append(_pages(count, number))
        with write_atomically(places.out / _file_of(number), "w") as file:
            file.write(_document(title, "\n".join(parts)))
    remove_others(places.page, shown.pictures)
    return places.out / PAGE_FILE


def _gather(places: Places) -> Shown:
    table = pq.read_table(places.map / MAP_FILE, columns=["id", "projection_x", "projection_y"]).to_pydict()
    ids: list[str] = table["id"]
    row_of = {one: row for row, one in enumerate(ids)}
    folder = ensure_writable_folder(places.page)
    pictures = [pictures_of(one, _views(places.renders, one), folder) for one in ids]
    near: list[list[tuple[int, float]]] = [[] for _ in ids]
    pairs = pq.read_table(places.neighbors / NEIGHBORS_FILE).to_pydict()
    for own, other, distance in zip(pairs["query_id"], pairs["neighbor_id"], pairs["distance"], strict=True):
        if own in row_of and other in row_of:
            near[row_of[own]].append((row_of[other], distance))
    file = places.clusters / CLUSTERS_FILE
    labels = [_short(one) for one in cluster_labels(file, ids)] if file.is_file() else [None] * len(ids)
    names = [one or "" for one in labels]
    return Shown(
        ids,
        pictures,
        names,
        near,
        list(zip(table["projection_x"], table["projection_y"], strict=True)),
        colouring("cluster", labels if file.is_file() else None, len(ids)),
    )


def _short(label: str | None) -> str | None:
    """Without texts a cluster has no name but its number: ``3: cluster 3`` says it twice."""
    return None if label is None else re.sub(r"^(\d+): (cluster \1)$", r"\2", label)


def _views(renders: Path, specimen: str) -> list[Path]:
    folder, _, name = specimen.rpartition("/")
    prefix = f"{name}_view"
    return sorted(
        path
        for path in (renders / folder).iterdir()
        if path.name.startswith(prefix) and path.stem[len(prefix) :].isdigit()
    )


def _head(shown: Shown, places: Places, title: str, failed: int) -> str:
    told = [f"{len(shown.ids)} specimens"]
    if failed:
        told.append(f'{failed} could not be rendered: <a href="renders/failures.jsonl">why</a>')
    summary = _summary(places.clusters / SUMMARY_FILE)
    if summary:
        told.append(f"{summary['n_clusters']} clusters, {100 * summary['noise_ratio']:.0f} % in none")
        if against := summary.get("against_labels"):
            told.append(
                f"against labels: ARI {against['ari']:.3f}, NMI {against['nmi']:.3f}, "
                f"purity {against['purity']:.3f}"
            )
    legend = "".join(
        f'<li><span class="dot" style="background:{colour_of(shown.colours.kinds, number)}"></span>'
        f"{html.escape(kind)} ({int((shown.colours.codes == number).sum())}){_typical(shown, number)}</li>"
        for number, kind in enumerate(shown.colours.kinds)
        if shown.colours.title
    )
    return (
        f'<h1>{html.escape(title)}</h1><p class="quiet">{" · ".join(told)}</p>'
        f'<div class="top">{_map(shown)}<ul>{legend}</ul></div>'
        '<p class="quiet">Near means alike; a point leads to its specimen. Distances are of cosine.</p>'
    )


def _typical(shown: Shown, kind: int) -> str:
    """Pictures of the first few of a kind."""
    rows = [row for row in range(len(shown.ids)) if shown.colours.codes[row] == kind][:_TYPICAL]
    return "<br>" + "".join(
        f'<a href="{shown.link(row)}"><img src="page/{shown.pictures[row].thumb}" width="48" height="48" '
        f'loading="lazy" alt="{html.escape(shown.ids[row])}"></a>'
        for row in rows
    )


def _map(shown: Shown) -> str:
    xs, ys = [x for x, _ in shown.places], [y for _, y in shown.places]
    wide = max(max(xs) - min(xs), max(ys) - min(ys)) or 1.0
    inner = _MAP_PX - 40
    radius = 6 if len(shown.ids) <= 500 else 3
    points = []
    for row, (x, y) in enumerate(shown.places):
        across = 20 + inner * (0.5 + (x - (max(xs) + min(xs)) / 2) / wide)
        down = 20 + inner * (0.5 - (y - (max(ys) + min(ys)) / 2) / wide)
        colour = (
            colour_of(shown.colours.kinds, int(shown.colours.codes[row]))
            if shown.colours.title
            else "#0072B2"
        )
        name = html.escape(" · ".join(one for one in (shown.ids[row], shown.clusters[row]) if one))
        points.append(
            f'<a href="{shown.link(row)}" aria-label="{name}"><circle cx="{across:.1f}" cy="{down:.1f}" '
            f'r="{radius}" fill="{colour}" fill-opacity=".8"><title>{name}</title></circle></a>'
        )
    return (
        f'<svg class="map" viewBox="0 0 {_MAP_PX} {_MAP_PX}" width="{_MAP_PX}" height="{_MAP_PX}" '
        f'role="group" aria-label="Map of the specimens">{"".join(points)}</svg>'
    )


def _section(shown: Shown, row: int) -> str:
    name, pictures = html.escape(shown.ids[row]), shown.pictures[row]
    cluster = html.escape(shown.clusters[row])
    near = "".join(_neighbour(shown, other, distance) for other, distance in shown.near[row])
    words = html.escape(f"{shown.ids[row]} {shown.clusters[row]}".lower())
    width, height = pictures.size
    return (
        f'<section id="s{row}" data-name="{words}"><h2>{name} '
        f'<span class="quiet">{cluster}</span></h2>'
        f'<img src="page/{pictures.sheet}" width="{width}" height="{height}" loading="lazy" '
        f'alt="{pictures.views} views of {name}"><ul class="near">{near}</ul></section>'
    )


def _neighbour(shown: Shown, row: int, distance: float) -> str:
    name = html.escape(shown.ids[row])
    return (
        f'<li><a href="{shown.link(row)}"><img src="page/{shown.pictures[row].thumb}" width="104" '
        f'height="104" loading="lazy" alt="">{name}</a> <span class="quiet">{distance:.3f}</span></li>'
    )


def _pages(count: int, current: int) -> str:
    if count < 2:
        return ""
    links = [
        f"<strong>{number + 1}</strong> "
        if number == current
        else f'<a href="{_file_of(number)}">{number + 1}</a>'
        for number in range(count)
    ]
    return f'<nav aria-label="Pages">{"".join(links)}</nav>'


def _file_of(number: int) -> str:
    return PAGE_FILE if number == 0 else f"page-{number + 1}.html"


def _document(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main>{body}</main><script>{_FILTER}</script></body></html>\n"
    )


def _summary(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
