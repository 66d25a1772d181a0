"""The retrieval table for a terminal, and ``report.md`` for a person."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from multimodal_search.types import Failure, Item

_COLUMNS = ("R@1", "R@5", "R@10", "[95 %]", "chance", "medR", "MRR", "mAP", "gallery")
_WIDTHS = (7, 7, 7, 9, 8, 8, 7, 7, 9)
_MOST_KEYS = 4
_MOST_FAILURES = 20

_INTRODUCTION = """\
R@k: share of queries (%) with a relevant moment among the first k. [95 %]: interval of R@10, by bootstrap
over scenes and over logs, the wider one. Chance is exact, for R@10. medR: median rank of the best relevant
moment. Relevant is {relevant}.
A query never finds itself. All figures are of scenes that no head was trained on."""


def format_table(metrics: Mapping[str, Any]) -> str:
    """The content of ``metrics.json`` as plain text, at most 110 columns wide.

    Shares in percent; interval, chance and the best baseline are of R@10.
    """
    directions = metrics["directions"]
    if not directions:
        return "Nothing was measured: no scene is held out, or no two modalities share a scene."
    lines = [
        f"{metrics['scenes']} unseen scenes; shares in %; interval, chance and best baseline are of R@10",
        "direction".ljust(23)
        + "".join(c.rjust(w) for c, w in zip(_COLUMNS, _WIDTHS, strict=True))
        + "  best baseline",
    ]
    for name, entry in directions.items():
        cells = "".join(cell.rjust(width) for cell, width in zip(_cells(entry), _WIDTHS, strict=True))
        lines.append(f"{name:<23}{cells}  {_best_baseline(entry)}".rstrip())
    lines += _label_lines(metrics["labels"])
    if metrics["verdict"]:
        lines.append(f"{metrics['verdict']}: only {metrics['scenes']} unseen scenes; look at the intervals.")
    return "\n".join(lines)


def _cells(entry: Mapping[str, Any]) -> list[str]:
    return [
        *(_percent(entry[name]) for name in ("R@1", "R@5", "R@10")),
        _interval(entry["interval_95"]["R@10"]),
        _percent(entry["chance"]["R@10"]),
        f"{entry['median_rank']:g}",
        f"{entry['MRR']:.3f}",
        f"{entry['mAP']:.3f}",
        str(entry["gallery"]),
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _interval(pair: Sequence[float] | None) -> str:
    return "-" if pair is None else f"{100 * pair[0]:.0f}-{100 * pair[1]:.0f}"


def _best_baseline(entry: Mapping[str, Any]) -> str:
    """The strongest of what a head must beat; shuffled pairs and the cheats are in the report only."""
    able = {
        name: found["R@10"]
        for name, found in entry["baselines"].items()
        if name in ("raw", "ridge", "cca", "statistics") and found
    }
    if not able:
        return ""
    best = max(able, key=lambda name: able[name])
    return f"{_percent(able[best])} {best}"


def _label_lines(labels: Mapping[str, Any]) -> list[str]:
    if not labels:
        return []
    keys = list(dict.fromkeys(key for found in labels.values() for key in found))
    lines = ["", "mAP of other scenes with the same label (chance)"]
    for start in range(0, len(keys), _MOST_KEYS):
        some = keys[start : start + _MOST_KEYS]
        lines.append("direction".ljust(23) + "".join(_fitted(key, 19).rjust(21) for key in some))
        for name, found in labels.items():
            cells = [
                f"{found[key]['mAP']:.3f} ({found[key]['chance']:.3f})" if key in found else "-"
                for key in some
            ]
            lines.append(f"{name:<23}" + "".join(cell.rjust(21) for cell in cells))
    return lines


def _fitted(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def write_report(
    *,
    data: Mapping[str, Any],
    items: Sequence[Item],
    failures: Sequence[Failure],
    metrics: Mapping[str, Any],
    encoders: Mapping[str, str],
    heads: Mapping[str, str],
    chosen: Mapping[str, Any],
    notes: Iterable[str],
    licence: str,
    files: Iterable[str],
) -> str:
    """The text of ``report.md``.

    Args:
        data: what ``bundle.json`` says of the data.
        encoders: modality -> what it is, in words.
        heads: modality -> what it is, in words.
        chosen: what was decided and why, flat or one level deep.
        files: names of the pictures that exist.
    """
    sections = [
        "# What this bundle finds, and how well",
        _data_section(data, items, metrics, licence),
        "## Figures\n\n" + _figures(metrics),
        _baseline_section(metrics),
        _label_section(metrics["labels"]),
        _model_section(encoders, heads, chosen, notes),
        _failure_section(failures),
        _picture_section(set(files)),
        _USE,
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _data_section(
    data: Mapping[str, Any], items: Sequence[Item], metrics: Mapping[str, Any], licence: str
) -> str:
    scenes = {item.scene_id for item in items}
    groups = {item.group for item in items if item.group}
    places = sorted({item.location for item in items if item.location})
    lines = [
        f"- {len(items)} moments of {len(scenes)} scenes" + (f" in {len(groups)} logs" if groups else ""),
        f"- source: {data.get('kind', 'unknown')}, `{data.get('root', '')}`",
        f"- modalities: {', '.join(map(str, data.get('modalities', ())))}",
        f"- licence of the data: {licence}",
    ]
    if places:
        shown = ", ".join(places[:12]) + (f" and {len(places) - 12} more" if len(places) > 12 else "")
        lines.insert(1, f"- locations: {shown}")
    splits = metrics["splits"]
    counts = ", ".join(f"{len(splits[name])} {name}" for name in ("train", "val", "test"))
    lines.append(f"- scenes: {counts} (split {metrics['splits_kind']}; the lists are in `metrics.json`)")
    return "## Data\n\n" + "\n".join(lines)


def _figures(metrics: Mapping[str, Any]) -> str:
    if not metrics["directions"]:
        return "Nothing was measured: no scene is held out, or no two modalities share a scene."
    rows = [[name, *_cells(entry), str(entry["queries"])] for name, entry in metrics["directions"].items()]
    text = _INTRODUCTION.format(relevant=metrics["definitions"]["relevant"])
    if metrics["verdict"]:
        text += (
            f"\n\n**{metrics['verdict'].capitalize()}**: {metrics['scenes']} unseen scenes. Under 50 scenes "
            "a difference between two of these figures is mostly luck; read the intervals."
        )
    return text + "\n\n" + _markdown_table(["direction", *_COLUMNS, "queries"], rows)


def _baseline_section(metrics: Mapping[str, Any]) -> str:
    names = list(dict.fromkeys(b for entry in metrics["directions"].values() for b in entry["baselines"]))
    if not names:
        return ""
    rows = [
        [name, _percent(entry["R@10"]), *(_baseline_cell(entry, one) for one in names)]
        for name, entry in metrics["directions"].items()
    ]
    return (
        "## Beside the baselines (R@10, %)\n\n"
        "raw: the encoders untouched, where that can be compared. ridge, cca: closed forms fitted on the "
        "training scenes. statistics: signals by simple statistics and ridge. shuffled: ridge on pairs that "
        "do not belong together; it must be at chance. same ...: cheats that look at no picture, word or "
        "signal at all.\n\n" + _markdown_table(["direction", "**heads**", *names], rows)
    )


def _baseline_cell(entry: Mapping[str, Any], name: str) -> str:
    found = entry["baselines"].get(name)
    return _percent(found["R@10"]) if found else ""


def _label_section(labels: Mapping[str, Any]) -> str:
    rows = [
        [
            direction, key, f"{one['mAP']:.3f}", _label_interval(one["interval_95"]), f"{one['chance']:.3f}",
            str(one["classes"]), str(one["n"]), one["verdict"] or "",
        ]
        for direction, found in labels.items()
        for key, one in found.items()
    ]  # fmt: skip
    if not rows:
        return ""
    return (
        "## By label (mAP)\n\n"
        "Relevant is another scene with the same value; the query's own scene is left out.\n\n"
        + _markdown_table(["direction", "label", "mAP", "[95 %]", "chance", "classes", "queries", ""], rows)
    )


def _label_interval(pair: Sequence[float] | None) -> str:
    return "-" if pair is None else f"{pair[0]:.2f}-{pair[1]:.2f}"


def _model_section(
    encoders: Mapping[str, str], heads: Mapping[str, str], chosen: Mapping[str, Any], notes: Iterable[str]
) -> str:
    rows = [
        [name, encoders.get(name, ""), heads.get(name, "")] for name in dict.fromkeys([*encoders, *heads])
    ]
    lines = []
    for key, value in chosen.items():
        if isinstance(value, Mapping):
            value = ", ".join(
                f"{a}: {b:.3f}" if isinstance(b, float) else f"{a}: {b}" for a, b in value.items()
            )
        if value not in ("", None):
            lines.append(f"- {key.replace('_', ' ')}: {value}")
    lines += [f"- {note}" for note in notes]
    text = "## Model\n\n" + _markdown_table(["modality", "encoder (frozen)", "head"], rows)
    return text + ("\n\n" + "\n".join(lines) if lines else "")


def _failure_section(failures: Sequence[Failure]) -> str:
    if not failures:
        return "## Skipped inputs\n\nNone."
    by_reason: dict[str, list[Failure]] = defaultdict(list)
    for one in failures:
        by_reason[one.reason].append(one)
    ordered = sorted(by_reason.items(), key=lambda pair: -len(pair[1]))
    rows = [
        [str(len(found)), reason, found[0].path or found[0].id] for reason, found in ordered[:_MOST_FAILURES]
    ]
    text = (
        f"## Skipped inputs\n\n{len(failures)} inputs were skipped; everything else was used. "
        "Each one is listed in `failures.jsonl`.\n\n"
    )
    text += _markdown_table(["count", "reason", "for example"], rows)
    if len(ordered) > _MOST_FAILURES:
        text += f"\n\n{len(ordered) - _MOST_FAILURES} rarer reasons are left out here."
    return text


def _picture_section(files: set[str]) -> str:
    captions = {"umap.png": "The scenes in the common space", "training.png": "Loss and retrieval by epoch"}
    shown = [f"![{caption}]({name})" for name, caption in captions.items() if name in files]
    return "## Pictures\n\n" + "\n\n".join(shown) if shown else ""


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(_one_line(cell) for cell in cells) + " |"

    return "\n".join([line(header), line(["---"] * len(header)), *(line(row) for row in rows)])


def _one_line(cell: str) -> str:
    plain = "".join(c for c in " ".join(cell.split()) if unicodedata.category(c) != "Cc")
    return plain.replace("|", "\\|")


_USE = """\
## Use it

```bash
multimodal-search search --bundle . --text "a car turns left in the rain"
```

```python
import multimodal_search

searcher = multimodal_search.load(".")
for hit in searcher.search(text="a car turns left in the rain", k=5):
    print(hit.score, hit.id, hit.image_path)
```

`vector_db.json` holds the same vectors for any program that reads JSON; `*_projector.pt` are plain state
dicts for `torch.load(weights_only=True)`; `bundle.json` names the encoders whose vectors they take."""
