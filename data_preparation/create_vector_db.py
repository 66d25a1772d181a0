#!/usr/bin/env python
"""``vector_db.json`` of a trained bundle, over its own data or over other data.

    python data_preparation/create_vector_db.py --bundle output --data-dir extracted_data --out vector_db.json

Training writes the same file into its bundle; this is for data that came later. Flags are those of
``multimodal-search evaluate``, and ``--out``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from multimodal_search.cli.launcher import set_up
from multimodal_search.cli.places import bundle_at_hand
from multimodal_search.errors import ProjectError
from multimodal_search.export.moments import project_moments
from multimodal_search.export.vector_db import FILE, write_vector_db
from multimodal_search.projectors.bundle import load_projectors
from multimodal_search.settings import EvaluateSettings, parse
from multimodal_search.storage import ensure_writable_folder, output_file
from multimodal_search.training.evaluation import bundle_features


def main(arguments: Sequence[str]) -> int:
    """Encode, project, write.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--out", default=FILE)
    options, others = parser.parse_known_args(arguments)
    summary = "vectors of all moments in one JSON file (and --out FILE: where to, default vector_db.json)"
    try:
        settings = parse(EvaluateSettings, others, prog="create_vector_db.py", summary=summary)
        set_up(settings)
        settings = bundle_at_hand(settings)
        with output_file(options.out) as out:
            ensure_writable_folder(out.parent)
            info, features = bundle_features(settings)
            heads = load_projectors(Path(settings.bundle), info)
            vectors = project_moments(features, lambda modality, rows: heads[modality].project(rows))
            count = write_vector_db(out, features.items, vectors)
    except ProjectError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {count} vectors of {len(features.items)} moments to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
