#!/usr/bin/env python
"""Train ``sample/vit`` and ``sample/text``, the small encoders that ship with the package.

    python data_preparation/train_sample_encoders.py

Both towers learn together, from scratch, on scenes of the procedural world with seed 1,000,000; the demo
takes seed 0, so it shows none of them. A picture, an English and a Japanese text of one scene are pulled to
one point (CLIP's loss, Radford et al. 2021, https://arxiv.org/abs/2103.00020, where every scene that a text
fits is a positive). Four texts in ten are short queries, so that these work too. Attribute prototypes that
both towers share speed this up; they are dropped at the end. Pictures are zoomed, shifted, re-lit and made
noisy, never mirrored.

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
import torch.nn.functional as F
from sample_encoder_recipe.captions import Captions, Meaning, meaning_of
from sample_encoder_recipe.objective import Objective
from sample_encoder_recipe.pictures import draw, vary
from sample_encoder_recipe.scores import HeldOut, scores
from sample_encoder_recipe.writing import train_tokenizer, write_tower
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from multimodal_search.encoders.sample import DIM, padded_ids, weights_folder
from multimodal_search.encoders.sample_model import TextShape, TextTower, VisionTower
from multimodal_search.sources.sample import world

TRAIN_SEED = 1_000_000
HELD_OUT_SEED = 2_000_000
GALLERY = 150  # scenes of which a text has to find its own


class Training:
    """The data, the two towers and one optimiser step.

    Args:
        options: of the command line.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        scenes = world.make_scenes(options.scenes, TRAIN_SEED)
        self.truth = meaning_of(scenes)
        self.captions = [Captions(scenes, self.truth, "en"), Captions(scenes, self.truth, "ja")]
        self.tokenizer = _tokenizer(self.captions)
        self.pictures = draw(scenes, options.cache, options.threads)
        self.vision, self.text = VisionTower(), TextTower()
        self.heads = Objective(DIM, len(world.ROAD_USERS))
        self.random = np.random.default_rng(options.seed)
        self.generator = torch.Generator().manual_seed(options.seed)
        self.steps_an_epoch = options.scenes // options.batch_size
        modules = [self.vision, self.text, self.heads]
        self.optimiser, self.schedule = _optimiser(modules, options, self.steps_an_epoch * options.epochs)

    def epoch(self) -> float:
        """One pass over the scenes; the mean loss."""
        order = self.random.permutation(len(self.pictures))
        size = self.options.batch_size
        starts = range(0, size * self.steps_an_epoch, size)
        # for sequences this short the plain kernel's backward pass is four times faster than the fused one's
        with sdpa_kernel(SDPBackend.MATH):
            return float(np.mean([self._step(order[start : start + size]) for start in starts]))

    def _step(self, rows: np.ndarray) -> float:
        truth = self.truth.rows(rows)
        drawn = [captions.draw(rows, self.random) for captions in self.captions]
        with torch.autocast("cpu", torch.bfloat16):
            outputs = [self.vision(vary(self.pictures[rows], self.generator))]
            outputs += [self.text(torch.from_numpy(padded_ids(self.tokenizer, one[0]))) for one in drawn]
        images, *words = (F.normalize(output.float(), dim=1) for output in outputs)
        loss = 2.0 * self.heads.attributes(images, truth)
        for vectors, (_, meaning, known) in zip(words, drawn, strict=True):
            loss = loss + self.heads.contrastive(vectors, images, meaning.fits(truth))
            told = Meaning(meaning.codes[known], meaning.users[known])
            loss = loss + self.heads.attributes(vectors[known], told)
        # both languages of one scene, among the rows whose two texts say everything
        whole = _says_all(drawn[0][1]) & _says_all(drawn[1][1])
        both = drawn[0][1].fits(drawn[1][1])[whole][:, whole]
        loss = loss + 0.5 * self.heads.contrastive(words[0][whole], words[1][whole], both)
        return self._update(loss)

    def _update(self, loss: Tensor) -> float:
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [one for group in self.optimiser.param_groups for one in group["params"]]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimiser.step()
        self.schedule.step()
        return float(loss.detach())


def main() -> None:
    """Parse, train, print, write."""
    parser = argparse.ArgumentParser(description="Train the small encoders that ship with the package.")
    parser.add_argument("--scenes", type=int, default=8_000)
    parser.add_argument("--held-out", type=int, default=4 * GALLERY, help="unseen scenes that are scored")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=200)
    parser.add_argument("--learning-rate", type=float, default=1.2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path(".cache/sample_encoders"), help="drawn pictures")
    parser.add_argument("--out", type=Path, default=weights_folder())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    started = time.time()
    gallery = min(GALLERY, options.held_out)
    held = _held_out(options)
    training = Training(options)
    print(f"{options.scenes} scenes ready after {time.time() - started:.0f} s", flush=True)
    for epoch in range(1, options.epochs + 1):
        loss = training.epoch()
        if epoch % 2 and epoch < options.epochs:
            continue
        found = scores(training.vision, training.text, training.heads, training.tokenizer, held, gallery)
        shown = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
        print(f"epoch {epoch}: {time.time() - started:.0f} s, loss {loss:.3f}, {shown}", flush=True)
        _write(training, options.out)  # a run that is stopped early leaves its last scored weights
    print(json.dumps({name: round(value, 4) for name, value in found.items()}, indent=1))


def _held_out(options: argparse.Namespace) -> HeldOut:
    scenes = world.make_scenes(options.held_out, HELD_OUT_SEED)
    truth = meaning_of(scenes)
    english, japanese = (Captions(scenes, truth, language).primary for language in ("en", "ja"))
    return HeldOut(draw(scenes, options.cache, options.threads), truth, english, japanese)


def _tokenizer(captions: list[Captions]) -> Tokenizer:
    lines: Iterator[str] = (line for one in captions for line in one.all_lines())
    return train_tokenizer(lines, TextShape().vocab_size)


def _says_all(meaning: Meaning) -> Tensor:
    return (meaning.codes >= 0).all(dim=1) & (meaning.users >= 0).all(dim=1)


def _write(training: Training, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_tower(training.vision, out / "sample_vit.safetensors")
    write_tower(training.text, out / "sample_text.safetensors")
    training.tokenizer.save(str(out / "sample_tokenizer.json"), pretty=False)


def _optimiser(
    modules: list[nn.Module], options: argparse.Namespace, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW with a warm-up of 5 % and a cosine to zero; no weight decay on biases, norms and the scale."""
    parameters = [one for module in modules for one in module.parameters()]
    groups = [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": 0.05},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=options.learning_rate, betas=(0.9, 0.98))
    warm_up = max(1, steps // 20)

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


if __name__ == "__main__":
    main()
