"""Where each step of the chain writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from multimodal_search.embedding.pool import PARQUET_FILE


@dataclass(frozen=True, slots=True)
class Places:
    """The folders under ``--out``."""

    out: Path

    @property
    def renders(self) -> Path:
        return self.out / "renders"

    @property
    def features(self) -> Path:
        return self.out / "features"

    @property
    def embeddings(self) -> Path:
        return self.out / "embeddings"

    @property
    def vectors(self) -> str:
        return str(self.embeddings / PARQUET_FILE)

    @property
    def neighbors(self) -> Path:
        return self.out / "neighbors"

    @property
    def sweep(self) -> Path:
        return self.out / "sweep"

    @property
    def clusters(self) -> Path:
        return self.out / "clusters"

    @property
    def map(self) -> Path:
        return self.out / "map"

    @property
    def page(self) -> Path:
        return self.out / "page"
