"""Hits as a command prints them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multimodal_search.search import Hit

_WIDTH_OF_A_FILE = 160


def show(hits: Sequence[Hit], *, as_json: bool) -> None:
    """A JSON line each, or a table as wide as the terminal."""
    from multimodal_search.search import table

    if as_json:
        for hit in hits:
            print(json.dumps(hit.to_json(), ensure_ascii=False))
    else:
        print(table(hits, shutil.get_terminal_size((_WIDTH_OF_A_FILE, 0)).columns))
