"""``multimodal-search search``: ask a bundle."""

from __future__ import annotations

import json
from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import configure_logging
from multimodal_search.errors import SettingsError
from multimodal_search.settings import SearchSettings, parse


def main(argv: Sequence[str]) -> int:
    """Print the best moments, one a line."""
    settings = parse(SearchSettings, argv, prog="multimodal-search search", summary=COMMANDS["search"])
    if not any((settings.text, settings.image, settings.series)):
        raise SettingsError(
            "Nothing to search for.",
            remedy="give --text WORDS, --image FILE, --series FILE.npy, or several of them",
        )
    if not settings.json_output:
        configure_logging()
    import multimodal_search

    searcher = multimodal_search.load(settings.bundle, device=settings.device)
    hits = searcher.search(
        text=settings.text,
        image=settings.image,
        series=settings.series,
        k=settings.k,
        against=settings.against,
    )
    for place, hit in enumerate(hits, start=1):
        if settings.json_output:
            print(json.dumps(hit.to_json(), ensure_ascii=False))
        else:
            words = " ".join(hit.text.split())
            print(
                f"{place:>3}  {hit.score:6.3f}  {hit.id}  {hit.image_path or '-'}\n             {words[:160]}"
            )
    return 0
