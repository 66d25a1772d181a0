#!/usr/bin/env python
"""Features of an extracted folder's pictures and descriptions: ``multimodal-search embed``, once for each.

    python data_preparation/generate_embeddings.py --data-dir extracted_data --batch-size 8 --save-interval 10

Writes the feature tables ``image`` and ``text`` into ``--output-dir``, which ``train.py --features`` reads.
Flags that are not listed here go to ``embed`` as they are. Killed or stopped, the same command goes on.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from multimodal_search.cli import main as run
from multimodal_search.errors import ProjectError
from multimodal_search.sources.extracted import ExtractedSource
from multimodal_search.storage import ensure_writable_folder, write_atomically

_TEXT_ENCODERS = {"sample/vit": "sample/text"}  # an open_clip model has both towers under one name


def main(arguments: Sequence[str]) -> int:
    """Embed pictures, then texts.

    Returns:
        The exit code of the first command that failed, else 0.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data-dir", type=Path, default=Path("extracted_data"))
    parser.add_argument("--output-dir", type=Path, default=Path("embeddings"))
    parser.add_argument("--encoder", default="open_clip/ViT-L-14", help="of pictures (%(default)s)")
    parser.add_argument("--text-encoder", help="of texts (default: the same model's)")
    parser.add_argument("--batch-size", type=int, default=32, help="inputs a batch (%(default)s)")
    parser.add_argument("--save-interval", type=int, default=10, help="batches saved together (%(default)s)")
    options, others = parser.parse_known_args(arguments)
    if options.batch_size < 1 or options.save_interval < 1:
        parser.error("--batch-size and --save-interval must be at least 1")
    text_encoder = options.text_encoder or _TEXT_ENCODERS.get(options.encoder, options.encoder)
    rows = options.batch_size * options.save_interval
    shared = ["--batch-size", str(options.batch_size), "--rows-per-part", str(rows), *others]
    try:
        texts = _write_texts(options.data_dir, options.output_dir)
    except ProjectError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    tables = {"image": ["--data-dir", str(options.data_dir), "--encoder", options.encoder]}
    if texts is not None:
        tables["text"] = ["--text-file", str(texts), "--encoder", text_encoder]
    for name, flags in tables.items():
        code = run(["embed", *flags, "--out", str(options.output_dir / name), *shared])
        if code:
            return code
    made = " ".join(shlex.quote(str(options.output_dir / name)) for name in tables)
    print(f"next: python train.py --data-dir {shlex.quote(str(options.data_dir))} --features {made}")
    return 0


def _write_texts(data_dir: Path, output_dir: Path) -> Path | None:
    """A file with a description a line; None where there is none."""
    items = ExtractedSource(data_dir).items()
    texts = dict.fromkeys(text for item in items for text in item.text)
    lines = [text for text in texts if len(text.splitlines()) == 1]
    if len(lines) < len(texts):
        print(f"{len(texts) - len(lines)} descriptions of several lines are left out", file=sys.stderr)
    if not lines:
        return None
    path = ensure_writable_folder(output_dir) / "texts.txt"
    with write_atomically(path, "w") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
