"""`cluster` against scikit-learn's own HDBSCAN: agreement and time; and which score chooses well.

python benchmarks/cluster.py [--rows 10000 50000] [--dim 64]

First: over five made worlds with known kinds and 40 settings each, how the score of `cluster-sweep` ranks
settings against how labels would (Spearman's rho), and the ARI of the setting that it chooses; beside it the
full silhouette and DBCV's relative validity. Then: seconds of both on the same vectors, and their agreement.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from map import clustered
from scipy.stats import spearmanr
from sklearn.cluster import HDBSCAN
from sklearn.metrics import adjusted_rand_score, silhouette_score

from multimodal_search.analysis.cluster import cut, density_tree
from multimodal_search.analysis.cluster_score import score
from multimodal_search.analysis.cluster_tree import Tree
from multimodal_search.settings import ClusterSettings

SETTINGS = ClusterSettings(embeddings="-", out="-")
WORLDS = ((3000, 64, 15, 10, 0.5), (3000, 64, 15, 6, 0.6), (4000, 128, 60, 12, 0.5), (3000, 64, 8, 24, 0.9),
          (3000, 32, 30, 5, 0.5))  # fmt: skip


def against_scikit_learn(rows: int, dim: int) -> None:
    """One line: both times, the ratio, the agreement."""
    vectors, kinds = clustered(rows, dim)
    began = time.perf_counter()
    ours = cut(density_tree(vectors, SETTINGS, 20), 20, "eom").labels
    middle = time.perf_counter()
    theirs = HDBSCAN(20, min_samples=20, copy=True).fit(vectors).labels_
    seconds = middle - began, time.perf_counter() - middle
    print(
        f"{rows} x {dim}: ours {seconds[0]:.1f} s, scikit-learn {seconds[1]:.1f} s, "
        f"{seconds[1] / seconds[0]:.1f} times; "
        f"agreement {adjusted_rand_score(ours, theirs):.4f}; against the kinds "
        f"{adjusted_rand_score(kinds, ours):.3f} and {adjusted_rand_score(kinds, theirs):.3f}"
    )


def world(
    rows: int, dim: int, kinds: int, inner: int, spread: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Kinds of uneven size and spread."""
    generator = np.random.default_rng(seed)
    centres, turn = (
        generator.normal(size=(kinds, inner)),
        generator.normal(size=(inner, dim)) / np.sqrt(inner),
    )
    kind = generator.choice(kinds, rows, p=generator.dirichlet(np.full(kinds, 2.0)))
    wide = generator.uniform(0.15, spread, kinds)[kind, None]
    vectors = (centres[kind] + wide * generator.normal(size=(rows, inner))) @ turn
    vectors += 0.03 * generator.normal(size=vectors.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), kind


def relative_validity(tree: Tree, labels: np.ndarray) -> float:
    """DBCV (Moulavi et al., 2014) over the tree, as the hdbscan package has it."""
    count = int(labels.max()) + 1
    if count < 2:
        return 0.0
    one, other = labels[tree.first], labels[tree.second]
    sparse, apart, toward = np.zeros(count), np.full(count, np.inf), np.full(count, np.inf)
    inside, across = (one == other) & (one >= 0), (one != other) & (one >= 0) & (other >= 0)
    np.maximum.at(sparse, one[inside], tree.lengths[inside])
    for mine, theirs in ((one, other), (other, one)):
        np.minimum.at(apart, mine[across], tree.lengths[across])
        edge = (mine >= 0) & (theirs < 0)
        np.minimum.at(toward, mine[edge], tree.lengths[edge])
    apart = np.where(np.isfinite(apart), apart, toward)
    each = (apart - sparse) / np.maximum(np.maximum(apart, sparse), 1e-12)
    return float((each * np.bincount(labels[labels >= 0], minlength=count)).sum() / len(labels))


def full_silhouette(vectors: np.ndarray, labels: np.ndarray) -> float:
    """Of 2,000 rows, times the share that is no noise."""
    inside = labels >= 0
    if labels.max() < 1:
        return 0.0
    sample = min(2000, int(inside.sum()))
    found = silhouette_score(vectors[inside], labels[inside], sample_size=sample, random_state=0)
    return float(found * inside.mean())


def scores() -> None:
    """A line a world."""
    names = ("simplified silhouette", "silhouette", "relative validity")
    for seed, made in enumerate(WORLDS):
        vectors, kind = world(*made, seed)
        rows = []
        for min_samples in (1, 5, 10, 25):
            tree = density_tree(vectors, SETTINGS, min_samples)
            for size in (5, 10, 20, 50, 100):
                for method in ("eom", "leaf"):
                    labels = cut(tree, size, method).labels
                    figures = (
                        score(vectors, labels),
                        full_silhouette(vectors, labels),
                        relative_validity(tree, labels),
                    )
                    rows.append((adjusted_rand_score(kind, labels), *figures))
        table = np.array(rows)
        print(f"world {seed}: best ARI of the grid {table[:, 0].max():.3f}", end="")
        for place, name in enumerate(names, start=1):
            rho = spearmanr(table[:, 0], table[:, place]).statistic
            print(f"; {name}: rho {rho:+.2f}, chooses {table[table[:, place].argmax(), 0]:.3f}", end="")
        print()


def main() -> None:
    """Print both parts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--dim", type=int, default=64)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    scores()
    for rows in options.rows:
        against_scikit_learn(rows, options.dim)


if __name__ == "__main__":
    main()
