#!/usr/bin/env python
"""Train ``sample/vit`` and ``sample/text``, the small encoders that ship with the package.

    python data_preparation/train_sample_encoders.py

Both towers learn together, from scratch, on scenes of the procedural world whose seeds start at 1,000,000;
the demo starts at 0, so it shows none of them. A picture, an English and a Japanese description of one scene
are pulled to one point (CLIP's loss, Radford et al. 2021, https://arxiv.org/abs/2103.00020, with every scene
of equal attributes as a positive), and attribute prototypes that both towers share speed this up; they are
dropped at the end. Pictures are cropped, shifted, re-lit and made noisy, never mirrored. Descriptions lose
random phrases, so that short queries work.

Writes ``sample_vit.safetensors``, ``sample_text.safetensors`` (float16) and ``sample_tokenizer.json`` to
``--out`` (the package's own folder), and prints the scores on unseen scenes, which the tests hold it to.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from sample_encoder_recipe import corpus as corpora
from sample_encoder_recipe.objective import Objective, vary
from sample_encoder_recipe.scores import scores
from sample_encoder_recipe.writing import train_tokenizer, write_tower

from multimodal_search.encoders.sample import DIM, padded_ids, weights_folder
from multimodal_search.encoders.sample_model import TextShape, TextTower, VisionTower
from multimodal_search.sources.sample import world

TRAIN_SEED = 1_000_000
HELD_OUT_SEED = 2_000_000
GALLERY = 150


Ids = tuple[torch.Tensor, torch.Tensor]  # token ids (batch, length), and (batch,) true where a text is whole
Batch = tuple[torch.Tensor, Ids, Ids, np.ndarray]


class Batches:
    """Endless shuffled batches of (pictures, English ids, Japanese ids, rows)."""

    def __init__(self, corpus: corpora.Corpus, tokenizer: object, size: int, seed: int) -> None:
        self._corpus, self._tokenizer, self._size = corpus, tokenizer, size
        self._random = np.random.default_rng(seed)
        self._generator = torch.Generator().manual_seed(seed)

    def epoch(self) -> Iterator[Batch]:
        """One pass over the scenes."""
        order = self._random.permutation(len(self._corpus))
        for start in range(0, len(order) - self._size + 1, self._size):
            rows = order[start : start + self._size]
            pictures = vary(torch.from_numpy(self._corpus.pictures[rows]), self._generator)
            yield (
                pictures,
                self._ids(self._corpus.english, rows),
                self._ids(self._corpus.japanese, rows),
                rows,
            )

    def _ids(self, texts: list[list[str]], rows: np.ndarray) -> Ids:
        """Token ids of one description a scene, and which of them are whole."""
        lines, whole = [], []
        for row in rows:
            text = texts[row][self._random.integers(len(texts[row]))]
            cut = self._random.random() < 0.35
            lines.append(corpora.phrases(text, self._random) if cut else text)
            whole.append(lines[-1] == text)
        return torch.from_numpy(padded_ids(self._tokenizer, lines)), torch.tensor(whole)


def main() -> None:
    """Parse, train, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--batch-size", type=int, default=200)
    parser.add_argument("--learning-rate", type=float, default=1.2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path("/tmp/sample_encoders"))
    parser.add_argument("--out", type=Path, default=weights_folder())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    train(options)


def train(options: argparse.Namespace) -> dict[str, float]:
    """The whole recipe; returns the last scores."""
    started = time.time()
    scenes = world.make_scenes(options.scenes, TRAIN_SEED)
    unseen = world.make_scenes(4 * GALLERY, HELD_OUT_SEED)
    corpus = corpora.build(scenes, options.cache, options.threads)
    held_out = corpora.build(unseen, options.cache, options.threads)
    print(f"{len(corpus)} scenes ready after {time.time() - started:.0f} s", flush=True)
    lines = [line for one in (corpus.english, corpus.japanese) for texts in one for line in texts]
    tokenizer = train_tokenizer(lines, TextShape().vocab_size)
    vision, text = VisionTower(), TextTower()
    heads = Objective(DIM, {name: len(one) for name, one in corpora.SINGLE.items()}, len(world.ROAD_USERS))
    batches = Batches(corpus, tokenizer, options.batch_size, options.seed)
    optimiser, schedule = _optimiser([vision, text, heads], options, len(corpus))
    labels = {name: torch.from_numpy(one) for name, one in corpus.labels.items()}
    users = torch.from_numpy(corpus.users)
    same = _same_scene_codes(labels, users)
    found: dict[str, float] = {}
    for epoch in range(options.epochs):
        losses = []
        for pictures, english, japanese, rows in batches.epoch():
            at = torch.from_numpy(rows)
            batch_labels = {name: one[at] for name, one in labels.items()}
            with torch.autocast("cpu", torch.bfloat16):
                images = vision(pictures)
                words = [text(ids) for ids, _ in (english, japanese)]
            unit = [torch.nn.functional.normalize(one.float(), dim=1) for one in (images, *words)]
            positives = same[at][:, None] == same[at][None, :]
            loss = heads.contrastive(unit[0], unit[1], positives) + heads.contrastive(
                unit[0], unit[2], positives
            )
            loss = loss + 0.5 * heads.contrastive(unit[1], unit[2], positives)
            loss = loss + 2.0 * heads.attributes(unit[0], batch_labels, users[at])
            for vectors, (_, whole) in zip(unit[1:], (english, japanese), strict=True):
                kept = {name: one[whole] for name, one in batch_labels.items()}
                loss = loss + heads.attributes(vectors[whole], kept, users[at][whole])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], 1.0)
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        found = scores(vision, text, heads, tokenizer, held_out, GALLERY)
        shown = {name: round(value, 3) for name, value in found.items()}
        print(
            f"epoch {epoch + 1}: {time.time() - started:.0f} s, loss {np.mean(losses):.3f}, {shown}",
            flush=True,
        )
    options.out.mkdir(parents=True, exist_ok=True)
    write_tower(vision, options.out / "sample_vit.safetensors")
    write_tower(text, options.out / "sample_text.safetensors")
    tokenizer.save(str(options.out / "sample_tokenizer.json"), pretty=False)
    print(json.dumps(found, indent=1))
    return found


def _same_scene_codes(labels: dict[str, torch.Tensor], users: torch.Tensor) -> torch.Tensor:
    """(scenes,) a number for each combination of attributes: scenes of one number say and show the same."""
    table = torch.cat([torch.stack(list(labels.values()), dim=1), users.long()], dim=1)
    return torch.unique(table, dim=0, return_inverse=True)[1]


def _optimiser(
    modules: list[torch.nn.Module], options: argparse.Namespace, n_scenes: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW with a warm-up of 5 % and a cosine to zero; no weight decay on biases, norms and positions."""
    parameters = [one for module in modules for one in module.parameters()]
    decayed = [one for one in parameters if one.ndim > 1]
    rest = [one for one in parameters if one.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=options.learning_rate, betas=(0.9, 0.98))
    steps = options.epochs * (n_scenes // options.batch_size)
    warm_up = max(1, steps // 20)

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


if __name__ == "__main__":
    main()
