"""An epoch from the feature table against an epoch that encodes live: same heads, same items, same loss.

    python benchmarks/cached_vs_live.py --scenes 256
    python benchmarks/cached_vs_live.py --case grids --image-encoder open_clip/ViT-B-32 --weights random

What is compared: one pass over all training items, forward and backward through the heads. ``table`` reads
the vectors that were written once; ``live`` decodes every picture and runs the frozen encoders in every step,
as a training loop without a table would. The bound is the same step on vectors that are in memory already.

``grids``: the head pools the patches of a picture by attention, as captioning models do; the table holds
(patches, dim) float16 a picture, and rows are read in random order, as an epoch does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multimodal_search import encoders as registry
from multimodal_search.embedding.images import decode
from multimodal_search.projectors.heads import HeadSpec, Projector
from multimodal_search.settings import TrainSettings
from multimodal_search.sources import open_source
from multimodal_search.sources.base import Source
from multimodal_search.tables import TableInfo, TableWriter
from multimodal_search.training import prepare
from multimodal_search.types import Item, Modality

DIM = 256
BARS = {"vectors": " (bar: 50)", "grids": ""}


def main() -> None:
    """Print seconds an epoch and the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=tuple(BARS), nargs="+", default=list(BARS))
    parser.add_argument("--scenes", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--image-encoder", default="sample/vit")
    parser.add_argument("--text-encoder", default="sample/text", help="grids: always sample/text")
    parser.add_argument(
        "--weights", default=None, help="'random' for an encoder whose weights are not at hand"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        settings = TrainSettings(
            use_sample_data=True,
            sample_scenes=args.scenes,
            image_encoder=args.image_encoder,
            text_encoder=args.text_encoder,
            image_weights=args.weights,
            text_weights=args.weights,
            features_dir=Path(home) / "features",
        )
        source = open_source(settings, sample_dir=Path(home) / "sample")
        if "vectors" in args.case:
            compare_vectors(settings, source, args.batch_size)
        if "grids" in args.case:
            compare_grids(settings, source, Path(home) / "grids", args.batch_size)


def compare_vectors(settings: TrainSettings, source: Source, batch_size: int) -> None:
    """One vector a picture and a text, one linear head each."""
    encoders = prepare.build_encoders(settings, source, "cpu")
    image, text = encoders[Modality.IMAGE], encoders[Modality.TEXT]
    features = prepare.gather(source, encoders, settings)
    rows = {one: features.sets[one].primary_rows(len(features.items)) for one in encoders}
    heads = {one: Projector(HeadSpec("linear", encoder.card.dim, DIM)) for one, encoder in encoders.items()}
    optimiser = torch.optim.AdamW([weight for head in heads.values() for weight in head.parameters()])
    batches = np.array_split(np.arange(len(features.items)), max(1, len(features.items) // batch_size))

    def step(vectors: dict[Modality, np.ndarray]) -> None:
        out = {one: heads[one](torch.from_numpy(np.ascontiguousarray(vectors[one]))) for one in heads}
        descend(optimiser, out[Modality.IMAGE], out[Modality.TEXT])

    def table(batch: np.ndarray) -> dict[Modality, np.ndarray]:
        return {one: np.asarray(features.sets[one].vectors[rows[one][batch]], np.float32) for one in encoders}

    def live(batch: np.ndarray) -> dict[Modality, np.ndarray]:
        chosen = [features.items[index] for index in batch]
        pictures = [image.preprocess(picture(source, item)) for item in chosen]
        words = [text.preprocess(item.text[0].strip()) for item in chosen]
        return {Modality.IMAGE: image.embed(pictures), Modality.TEXT: text.embed(words)}

    ready = [table(batch) for batch in batches]
    seconds = measured(
        memory=lambda: [step(vectors) for vectors in ready],
        table=lambda: [step(table(batch)) for batch in batches],
        live=lambda: [step(live(batch)) for batch in batches],
    )
    print(f"{len(features.items)} items, {image.card.name} + {text.card.name}, batch {batch_size}")
    report("vectors", seconds, len(features.items))
    loading = timed(lambda: registry.build_from_card(image.card).fingerprint)
    print(f"loading {image.card.name}, which train --features spares, takes {loading:.2f} s")


class AttentionHead(nn.Module):
    """One learnt question to all patches of a picture, then a projection: (n, patches, dim) -> (n, out)."""

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.standard = nn.LayerNorm(dim)
        self.question = nn.Linear(dim, 1)
        self.project = nn.Linear(dim, out)

    def forward(self, patches: Tensor) -> Tensor:
        """Unit vectors."""
        patches = self.standard(patches)
        pooled = (self.question(patches).softmax(dim=1) * patches).sum(dim=1)
        return F.normalize(self.project(pooled), dim=-1)


def compare_grids(settings: TrainSettings, source: Source, folder: Path, batch_size: int) -> None:
    """All patches of a picture into a head that pools them, against the vectors of the first description."""
    assert settings.image_encoder is not None
    image = registry.build(settings.image_encoder, Modality.IMAGE, settings.image_weights, pool="grid")
    text = registry.build("sample/text", Modality.TEXT)
    items = source.items()
    words = torch.from_numpy(text.embed([text.preprocess(item.text[0].strip()) for item in items]))
    image_head, text_head = AttentionHead(image.card.dim, DIM), nn.Linear(text.card.dim, DIM)
    optimiser = torch.optim.AdamW([*image_head.parameters(), *text_head.parameters()])
    shuffled = np.random.default_rng(0).permutation(len(items))
    batches = np.array_split(shuffled, max(1, len(items) // batch_size))

    def live(batch: np.ndarray) -> np.ndarray:
        return image.embed([image.preprocess(picture(source, items[index])) for index in batch])

    patches = live(shuffled[:1]).shape[1]
    info = TableInfo(
        image.fingerprint, image.card.dim, image.card, normalised=False, dtype="float16", patches=patches
    )
    with TableWriter(folder, info) as writer:
        whole = np.array_split(np.arange(len(items)), max(1, len(items) // batch_size))
        writer.add(
            [item.id for item in items], [""] * len(items), np.concatenate([live(batch) for batch in whole])
        )
    stored = writer.table

    def table(batch: np.ndarray) -> Tensor:
        return torch.from_numpy(stored.gather(batch)).float()  # numpy converts float16 one by one

    def step(batch: np.ndarray, grids: Tensor) -> None:
        told = F.normalize(text_head(words[torch.from_numpy(batch)]), dim=-1)
        descend(optimiser, image_head(grids), told)

    ready = [(batch, table(batch)) for batch in batches]
    seconds = measured(
        memory=lambda: [step(*pair) for pair in ready],
        table=lambda: [step(batch, table(batch)) for batch in batches],
        live=lambda: [step(batch, torch.from_numpy(live(batch))) for batch in batches],
    )
    rows = stored.gather(np.arange(1))
    kib = rows.nbytes / 1024
    print(
        f"{len(items)} grids {rows.shape[1:]} float16 ({kib:.0f} KiB each), {image.card.name}, {batch_size=}"
    )
    report("grids", seconds, len(items))


def picture(source: Source, item: Item) -> object:
    """The item's primary picture, decoded."""
    return decode(source.image_file(str(item.image_path)))


def descend(optimiser: torch.optim.Optimizer, images: Tensor, texts: Tensor) -> None:
    """One step of CLIP's loss."""
    logits = images @ texts.T / 0.07
    target = torch.arange(len(logits))
    loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def report(case: str, seconds: dict[str, float], count: int) -> None:
    """Seconds an epoch and the two ratios."""
    for name, value in seconds.items():
        print(f"{name:>7}: {value:8.3f} s an epoch, {count / value:10.0f} items/s")
    print(f"table is {seconds['live'] / seconds['table']:.0f} times faster than live{BARS[case]}")
    print(
        f"table takes {seconds['table'] / seconds['memory']:.2f} times what vectors in memory do (the bound)"
    )


def measured(**runs: Callable[[], object]) -> dict[str, float]:
    """Seconds of each: live once, the others the best of many in turns, since a busy machine has pauses."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(20):
        for name in ("memory", "table"):
            best[name] = min(best[name], timed(runs[name]))
    return {**best, "live": timed(runs["live"])}


def timed(run: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
