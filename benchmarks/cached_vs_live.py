"""An epoch from the feature table against an epoch that encodes live: same heads, same items, same loss.

    python benchmarks/cached_vs_live.py --scenes 256

What is compared: one pass over all training items, forward and backward through the heads. ``table`` reads
the vectors that were written once; ``live`` decodes every picture and runs the frozen encoders in every step,
as a training loop without a table would. The bound is the same step on vectors that are in memory already.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from multimodal_search.embedding.images import decode
from multimodal_search.projectors.heads import HeadSpec, Projector
from multimodal_search.settings import TrainSettings
from multimodal_search.sources import open_source
from multimodal_search.training import prepare
from multimodal_search.types import Modality


def main() -> None:
    """Print seconds an epoch and the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--image-encoder", default="sample/vit")
    parser.add_argument("--text-encoder", default="sample/text")
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
        compare(settings, Path(home), args.batch_size)


def compare(settings: TrainSettings, home: Path, batch_size: int) -> None:
    """Time the three ways over the same batches."""
    source = open_source(settings, sample_dir=home / "sample")
    encoders = prepare.build_encoders(settings, source, "cpu")
    image, text = encoders[Modality.IMAGE], encoders[Modality.TEXT]
    items = source.items()
    features = prepare.gather(source, encoders, settings)
    rows = {one: features.sets[one].primary_rows(len(features.items)) for one in encoders}
    heads = {one: Projector(HeadSpec("linear", encoder.card.dim, 256)) for one, encoder in encoders.items()}
    optimiser = torch.optim.AdamW([weight for head in heads.values() for weight in head.parameters()])
    batches = np.array_split(np.arange(len(features.items)), max(1, len(items) // batch_size))

    def step(vectors: dict[Modality, np.ndarray]) -> None:
        out = {one: heads[one](torch.from_numpy(np.ascontiguousarray(vectors[one]))) for one in heads}
        logits = out[Modality.IMAGE] @ out[Modality.TEXT].T / 0.07
        target = torch.arange(len(logits))
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def table(batch: np.ndarray) -> dict[Modality, np.ndarray]:
        return {one: np.asarray(features.sets[one].vectors[rows[one][batch]], np.float32) for one in encoders}

    def live(batch: np.ndarray) -> dict[Modality, np.ndarray]:
        chosen = [features.items[index] for index in batch]
        pictures = [image.preprocess(decode(source.image_file(str(item.image_path)))) for item in chosen]
        words = [text.preprocess(item.text[0].strip()) for item in chosen]
        return {Modality.IMAGE: image.embed(pictures), Modality.TEXT: text.embed(words)}

    ready = [table(batch) for batch in batches]
    seconds = {}
    for name, run in {
        "memory": lambda: [step(vectors) for vectors in ready],
        "table": lambda: [step(table(batch)) for batch in batches],
        "live": lambda: [step(live(batch)) for batch in batches],
    }.items():
        seconds[name] = min(timed(run) for _ in range(1 if name == "live" else 5))
    print(f"{len(features.items)} items, {image.card.name} + {text.card.name}, batch {batch_size}")
    for name, value in seconds.items():
        print(f"{name:>7}: {value:8.3f} s an epoch, {len(features.items) / value:10.0f} items/s")
    print(f"table is {seconds['live'] / seconds['table']:.0f} times faster than live (bar: 50)")
    print(
        f"table takes {seconds['table'] / seconds['memory']:.2f} times what vectors in memory do (the bound)"
    )


def timed(run: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
