"""Draws the pictures of docs/map.md and docs/clusters.md from a bundle of the sample world.

python train.py --use-sample-data --include-timeseries --sample-scenes 300 --epochs 10
python docs/images/maps.py output
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from multimodal_search.cli import main as command

HERE = Path(__file__).parent


def small(picture: Path, name: str) -> None:
    """A copy of 900 pixels width."""
    with Image.open(picture) as whole:
        size = (900, round(900 * whole.height / whole.width))
        whole.convert("RGB").resize(size, Image.Resampling.LANCZOS).quantize(128).save(
            HERE / name, optimize=True
        )


def main() -> None:
    """Write map.png and clusters.png."""
    bundle = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        text = ["--emb", bundle, "--modality", "text"]
        command(["map", *text, "--out", f"{folder}/map", "--color", "place"])
        command(["cluster", *text, "--umap", "--min-cluster-size", "8", "--out", f"{folder}/clusters"])
        clusters = f"{folder}/clusters/clusters.csv"
        command(["map", *text, "--out", f"{folder}/named", "--clusters", clusters])
        small(Path(folder) / "map" / "map.png", "map.png")
        small(Path(folder) / "named" / "map.png", "clusters.png")


if __name__ == "__main__":
    main()
