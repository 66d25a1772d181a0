"""``multimodal-search scenario``: named queries of a bundle, corrected by votes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import set_up
from multimodal_search.cli.places import BUNDLE, bundle_at_hand, output_at_hand
from multimodal_search.cli.showing import show
from multimodal_search.errors import SettingsError
from multimodal_search.settings import ScenarioSettings, parse

if TYPE_CHECKING:
    from multimodal_search.search.scenarios import Scenarios


def main(argv: Sequence[str]) -> int:
    """List scenarios, make or correct one, ask one again, or remove it."""
    settings = parse(ScenarioSettings, argv, prog="multimodal-search scenario", summary=COMMANDS["scenario"])
    set_up(settings, quiet=settings.json_output)
    votes = [*settings.up, *settings.down, *settings.withdraw]
    changes = bool(settings.text or settings.image or votes or settings.where)
    if settings.name is None and (changes or settings.delete):
        raise SettingsError("Which scenario?", remedy="add --name NAME")
    if not changes and not settings.delete:
        return _run(bundle_at_hand(settings), changes=False)
    with output_at_hand(settings, BUNDLE, field="bundle") as local:  # so that it goes back where it is from
        return _run(local, changes=changes)


def _run(settings: ScenarioSettings, *, changes: bool) -> int:
    from multimodal_search.projectors.bundle import read_bundle_info
    from multimodal_search.search import Searcher
    from multimodal_search.search.refining import refine, rerun
    from multimodal_search.search.scenarios import Scenarios

    read_bundle_info(Path(settings.bundle))
    store = Scenarios(Path(settings.bundle))
    if settings.name is None:
        _list(store, as_json=settings.json_output)
        return 0
    if settings.delete:
        store.delete(settings.name)
        print(f"removed {settings.name}")
        return 0
    searcher = Searcher.open(settings.bundle, settings.device)
    if changes:
        asked = {"text": settings.text, "image": settings.image}
        scenario = refine(
            searcher,
            settings.name,
            asked={kind: [(one, 1.0) for one in values] for kind, values in asked.items() if values},
            up=settings.up,
            down=settings.down,
            withdraw=settings.withdraw,
            where=settings.where,
            modality=settings.modality,
        )
    else:
        scenario = store.load(settings.name)
    hits = rerun(searcher, scenario, settings.k)
    show(hits, as_json=settings.json_output)
    return 0


def _list(store: Scenarios, *, as_json: bool) -> None:
    for name in store.names():
        one = store.load(name)
        words = "; ".join(str(part[0]) for parts in one.query.values() for part in parts)
        if as_json:
            print(
                json.dumps({"name": name, "query": words, "up": one.up, "down": one.down, "where": one.where})
            )
        else:
            print(f"{name}: {words or 'votes alone'} ({len(one.up)} up, {len(one.down)} down)")
