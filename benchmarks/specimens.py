"""3D specimens: do rotated copies find each other, and do clusters find the classes?

python benchmarks/specimens.py [--meshes ../shared/data/meshes] [--size 256]

Copies: 20 different shapes, ten copies of each, turned at random, moved and in another unit: 200 specimens.
The share whose nearest neighbour is a copy of the same shape, with `sample/vit` and mean pooling, beside a
random projection of the views' pixels (32 x 32, averaged over the views, to 128 dimensions) and chance.
Bar: 95 %.

Classes: 120 specimens of `sample --format meshes` (12 classes); ARI of `cluster-sweep`, of the setting that
its score chose (no label had a say) and of the best of the grid. Bar: 0.9 at the best settings.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from multimodal_search.cli import main as command
from multimodal_search.rendering.reading import read_shape
from multimodal_search.rendering.shapes import CLASSES, turned, write_ply, write_sample

COPIES, SHAPES = 10, 20
NEAREST_BAR, ARI_BAR = 0.95, 0.9
REAL = (
    "artifacts/fertility.off", "artifacts/homer.obj", "human_body/arm.obj", "mechanical/3holes.off",
    "mechanical/screwdriver.off", "natural_animals_plants/cow.off", "natural_animals_plants/bunny.off",
    "natural_bone/SCP1.ply", "natural_teeth_museum_scans/sample_a.ply",
)  # fmt: skip
WAYS = ((12, "none"), (24, "none"), (12, "principal"))


def write_copies(folder: Path, meshes: Path) -> int:
    """``<shape>/<shape>-NN.ply``; procedural shapes of a second seed where no real meshes are."""
    generator = np.random.default_rng(0)
    shapes = {name: make(generator) for name, make in CLASSES.items() if name != "ball"}
    for name in REAL:
        if (meshes / name).is_file():
            shapes[Path(name).stem] = read_shape(meshes / name)
    spare = [name for name in CLASSES if name != "ball"]
    for name in spare[: max(0, SHAPES - len(shapes))]:
        shapes[f"{name}-other"] = CLASSES[name](generator)
    for name, shape in shapes.items():
        (folder / name).mkdir(parents=True)
        for copy in range(COPIES):
            write_ply(folder / name / f"{name}-{copy:02d}.ply", turned(shape, generator))
    return len(shapes)


def embedded(meshes: Path, work: Path, views: int, align: str, size: int) -> Path:
    """The commands; returns the pooled file."""
    renders, features, out = work / "renders", work / "features", work / "embeddings"
    looks = ["--views", str(views), "--size", str(size), "--align", align]
    assert command(["render", "--in", str(meshes), "--out", str(renders), *looks]) == 0
    embed = ["embed", "--image-dir", str(renders), "--views", "--encoder", "sample/vit", "--dtype", "float32"]
    assert command([*embed, "--out", str(features)]) == 0
    assert command(["pool", "--features", str(features), "--out", str(out)]) == 0
    return out / "embeddings.npy"


def nearest(vectors: np.ndarray, names: list[str]) -> float:
    """Share of rows whose nearest other row has the same folder."""
    labels = np.array([name.rpartition("/")[0] for name in names])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = unit @ unit.T
    np.fill_diagonal(scores, -2)
    return float((labels[scores.argmax(axis=1)] == labels).mean())


def projected_pixels(renders: Path, names: list[str]) -> np.ndarray:
    """(n, 128): the baseline."""
    rows = []
    for name in names:
        views = sorted((renders / name).parent.glob(f"{Path(name).name}_view*.png"))
        small = [
            np.asarray(Image.open(one).convert("L").resize((32, 32), Image.Resampling.BOX)) for one in views
        ]
        rows.append(np.mean(small, axis=0).ravel())
    pixels = np.array(rows) - np.mean(rows, axis=0)
    return pixels @ np.random.default_rng(0).normal(size=(pixels.shape[1], 128))


def told(figure: float, bar: float) -> str:
    """Whether a bar is held."""
    return f"bar {bar}: {'held' if figure >= bar else 'MISSED'}"


def main() -> None:
    """Print both, for three ways of looking."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--meshes", type=Path, default=Path("../shared/data/meshes"))
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = write_copies(folder / "copies", options.meshes)
        write_sample(folder / "classes", 120)
        for views, align in WAYS:
            work = folder / f"copies-{views}-{align}"
            file = embedded(folder / "copies", work, views, align, options.size)
            ids = file.with_name("ids.txt").read_text().splitlines()
            share = nearest(np.load(file), ids)
            plain = nearest(projected_pixels(work / "renders", ids), ids)
            lines.append(
                f"{views} views, --align {align}: {100 * share:.1f} % of {len(ids)} copies of {count} shapes "
                f"find their own ({told(share, NEAREST_BAR)}); random projection {100 * plain:.1f} %, chance "
                f"{100 * (COPIES - 1) / (len(ids) - 1):.1f} %"
            )
            work = folder / f"classes-{views}-{align}"
            file = embedded(folder / "classes", work, views, align, options.size)
            sweep = ["cluster-sweep", "--emb", str(file), "--labels", str(folder / "classes/labels.csv")]
            grid = ["--min-cluster-sizes", "3", "5", "8", "--min-samples-values", "1", "3", "5"]
            assert command([*sweep, *grid, "--out", str(work / "sweep")]) == 0
            found = json.loads((work / "sweep/sweep_summary.json").read_text())
            best = found["best_by_ari"]["ari"]
            lines.append(
                f"{views} views, --align {align}: ARI {found['best']['ari']:.3f} at the setting that the "
                f"score chose, {best:.3f} at the best of the grid ({told(best, ARI_BAR)})"
            )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
