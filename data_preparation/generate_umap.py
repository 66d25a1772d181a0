#!/usr/bin/env python
"""The map of a bundle's vectors as ``scenes_with_umap.json``: the same as ``multimodal-search map``.

    python data_preparation/generate_umap.py --embeddings output --out map

Flags are those of ``multimodal-search map``; the format is JSON where none is given.
"""

import sys

from multimodal_search.cli import main

if __name__ == "__main__":
    given = sys.argv[1:]
    form = [] if any(one.startswith("--format") for one in given) else ["--format", "json"]
    sys.exit(main(["map", *given, *form]))
