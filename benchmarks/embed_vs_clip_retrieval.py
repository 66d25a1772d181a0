"""Bulk embedding against clip-retrieval's ``inference``: same model, weights, pictures and machine, one run.

    python benchmarks/embed_vs_clip_retrieval.py
    python benchmarks/embed_vs_clip_retrieval.py --images DIR --cases reading ViT-B-32

clip-retrieval gets an environment of its own (``--peer-env``, made on first use with pip), our torch and our
Pillow, and random weights from a file that both sides load. ``--num_prepro_workers`` is its best of 0, 1, 2
and 4 for each case. Both clocks start when the model is loaded and has made one
pass. Runs alternate; medians are printed. Where other programs keep the machine busy, read the processor time
an image (user and system, of all processes) too.

Cases: ``reading`` is reading, decoding and preprocessing without a model. The others are the whole job, from
a listed folder to a finished table, beside our encoder alone on pictures that are ready in memory.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command sets it; before torch comes

import numpy as np
from peers import our_side, photos
from peers.clip_retrieval_env import Peer, environment

from multimodal_search.embedding.images import decode
from multimodal_search.errors import SkipInput
from multimodal_search.tables import open_table
from multimodal_search.types import Input

_PREPRO_WORKERS = (0, 1, 2, 4)
_CACHE = Path(tempfile.gettempdir()) / "multimodal-search-benchmarks"


@dataclass(frozen=True, slots=True)
class Case:
    """A whole job.

    Attributes:
        share: of ``--count`` pictures.
        pictures: which folder.
    """

    name: str
    model: str
    pictures: str = "jpeg"
    share: float = 1.0
    flags: tuple[str, ...] = ()


CASES = [
    Case("ViT-B-32", "ViT-B-32"),
    Case("ViT-B-32-exact", "ViT-B-32", flags=("--decode", "exact")),
    Case("ViT-B-32-small", "ViT-B-32", pictures="small"),
    Case("ViT-B-32-png", "ViT-B-32", pictures="png"),
    Case("ViT-B-32-broken", "ViT-B-32", pictures="broken"),
    Case("RN50", "RN50", share=0.75),
    Case("ViT-L-14", "ViT-L-14", share=0.125),
]


def main() -> None:
    """Print images/s of both sides and their ratios."""
    names = ["reading", *(case.name for case in CASES)]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--images", type=Path, help="a folder of real 1600 x 900 JPEGs, in place of drawn ones"
    )
    parser.add_argument("--count", type=int, default=256, help="pictures a case; large models take a part")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--cases", nargs="*", choices=names, default=names)
    parser.add_argument("--peer-env", type=Path, default=_CACHE / "clip-retrieval")
    parser.add_argument("--cache", type=Path, default=_CACHE, help="weights and pictures are kept here")
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    python = environment(args.peer_env)
    held = []
    with Peer(python, args.cache / "peer.log") as peer, tempfile.TemporaryDirectory() as out:
        if "reading" in args.cases:
            held += reading(args, peer)
        for case in CASES:
            if case.name in args.cases:
                held += whole(args, peer, case, Path(out))
    print(f"\n{sum(held)} of {len(held)} bars held")


def folder_of(args: argparse.Namespace, pictures: str, count: int) -> Path:
    """A folder of exactly ``count`` pictures of a kind; drawn once."""
    if args.images and pictures == "jpeg":
        found = sorted(path for path in args.images.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
        return _linked(args.cache / "real", [found[at % len(found)] for at in range(count)])
    kinds = {"small": ((224, 224), ".jpg"), "png": ((800, 450), ".png")}
    size_px, suffix = kinds.get(pictures, ((1600, 900), ".jpg"))
    drawn = "jpeg" if pictures == "broken" else pictures
    stock = photos.write_photos(args.cache / drawn, count, size_px, suffix)
    folder = _linked(args.cache / f"{pictures}-{count}", sorted(stock.iterdir())[:count])
    if pictures == "broken":
        print(f"{photos.break_some(folder)} of {count} files are broken")
    return folder


def _linked(folder: Path, files: Iterable[Path]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, file in enumerate(files):
        shutil.copyfile(file, folder / f"{number:05d}{file.suffix.lower()}")
    return folder


def reading(args: argparse.Namespace, peer: Peer) -> list[bool]:
    """Reading + decoding + preprocessing; the bar is three times clip-retrieval's images/s."""
    weights = our_side.weights_of("ViT-B-32", args.cache / "weights")
    model = f"open_clip:ViT-B-32/{weights}"
    folder = folder_of(args, "jpeg", args.count)
    inputs = our_side.inputs_of(folder)
    encoder = our_side.encoder_of("ViT-B-32", weights)
    kilobytes = statistics.median(Path(one.location).stat().st_size for one in inputs) / 1000
    print(f"\nreading + decoding + preprocessing, {len(inputs)} JPEGs of {kilobytes:.0f} KB, no model")
    peer("load", model=model, batch_size=1)

    def theirs(workers: int) -> float:
        done = peer(
            "read",
            model=model,
            folder=str(folder),
            batch_size=args.batch_size,
            num_prepro_workers=workers,
        )
        return len(inputs) / float(done["seconds"])

    def ours(fast: bool, workers: int) -> float:
        seconds = our_side.read_seconds(
            encoder, inputs, fast=fast, batch_size=args.batch_size, num_workers=workers
        )
        return len(inputs) / seconds

    ours(True, 2)
    ways: dict[str, Callable[[], float]] = {
        f"clip-retrieval, {workers} workers": lambda workers=workers: theirs(workers)
        for workers in _PREPRO_WORKERS
    }
    for workers in (1, 2, 4):
        ways[f"ours, fast, {workers} threads"] = lambda workers=workers: ours(True, workers)
    ways["ours, exact, 2 threads"] = lambda: ours(False, 2)
    rates = alternated(ways, args.repeats)
    best = max(rate for way, rate in rates.items() if way.startswith("clip"))
    for way, rate in rates.items():
        print(f"  {way:<28} {rate:8.1f} images/s  {rate / best:5.2f} times their best")
    fast = max(rate for way, rate in rates.items() if way.startswith("ours, fast")) / best
    exact = rates["ours, exact, 2 threads"] / best
    print(f"  bar: 3 times; fast decoding {said(fast >= 3)}, exact decoding {said(exact >= 3)}")
    return [fast >= 3]


class Contest:
    """Both sides of one case, and what their runs told."""

    def __init__(self, args: argparse.Namespace, peer: Peer, case: Case, out: Path) -> None:
        self.args, self.peer, self.case, self.out = args, peer, case, out
        self.count = max(args.batch_size // 2, round(args.count * case.share))
        self.weights = our_side.weights_of(case.model, args.cache / "weights")
        self.folder = folder_of(args, case.pictures, self.count)
        self.flags = ["--batch-size", str(args.batch_size), *case.flags]
        self.told: list[our_side.Told] = []
        self.their_processor_seconds: list[float] = []

    def theirs(self, workers: int) -> float:
        """Images/s of its whole inference."""
        shutil.rmtree(self.out / "theirs", ignore_errors=True)
        done = self.peer(
            "infer",
            model=f"open_clip:{self.case.model}/{self.weights}",
            folder=str(self.folder),
            out=str(self.out / "theirs"),
            batch_size=self.args.batch_size,
            num_prepro_workers=workers,
        )
        self.their_processor_seconds.append(float(done["processor_seconds"]))
        return self.count / float(done["seconds"])

    def ours(self) -> float:
        """Images/s of our whole job."""
        self.told.append(
            our_side.whole_job(self.case.model, self.weights, self.folder, self.out / "ours", self.flags)
        )
        return self.told[-1].rate

    def starting(self) -> float:
        """Processor seconds of our job with one picture."""
        few = folder_of(self.args, "jpeg" if self.case.pictures == "broken" else self.case.pictures, 1)
        told = our_side.whole_job(self.case.model, self.weights, few, self.out / "few", self.flags)
        return told.processor_seconds

    def pictures_whole(self) -> list[Input]:
        """Those that are not broken."""
        return [one for one in our_side.inputs_of(self.folder) if _is_whole(one.location)]


def whole(args: argparse.Namespace, peer: Peer, case: Case, out: Path) -> list[bool]:
    """The whole job; bars: faster than clip-retrieval, and 90 % of the encoder where that is the bound."""
    contest = Contest(args, peer, case, out)
    count = contest.count
    print(f"\n{case.name}: whole job, {count} {case.pictures} pictures {' '.join(case.flags)}", flush=True)
    state = peer("load", model=f"open_clip:{case.model}/{contest.weights}", batch_size=args.batch_size)
    tried = {workers: contest.theirs(workers) for workers in _PREPRO_WORKERS}
    best = max(tried, key=lambda workers: tried[workers])
    print("  clip-retrieval by workers: " + ", ".join(f"{w}: {rate:.1f}" for w, rate in tried.items()))
    good = contest.pictures_whole()
    encoder = our_side.encoder_of(case.model, contest.weights)
    rates = alternated(
        {
            "clip-retrieval": lambda: contest.theirs(best),
            "ours": contest.ours,
            "encoder alone": our_side.encoder_alone(encoder, good, args.batch_size),
        },
        args.repeats,
    )
    ratio = rates["ours"] / rates["clip-retrieval"]
    share = rates["ours"] * len(good) / count / rates["encoder alone"]
    bound = statistics.mode(one.bound for one in contest.told)
    for way, rate in rates.items():
        print(f"  {way:<16} {rate:8.1f} images/s")
    print(f"  {ratio:.2f} times clip-retrieval with {best} workers (bar: over 1, {said(ratio > 1)})")
    bar = f"bar where the model is the bound: 90 %, {said(share >= 0.9)}" if bound == "model" else "no bar"
    print(f"  {100 * share:.0f} % of the encoder alone; it names {bound} as its bound ({bar})")
    cost = statistics.median(one.processor_seconds for one in contest.told) - contest.starting()
    ours_ms, theirs_ms = 1e3 * cost / (count - 1), 1e3 * min(contest.their_processor_seconds) / count
    print(f"  processor time an image: ours {ours_ms:.0f} ms, theirs {theirs_ms:.0f} ms")
    note = " (its model stays in training mode: batch norm mixes a batch)" if state["training"] else ""
    print(f"  mean cosine of our rows and theirs: {agreement(peer, out):.6f}{note}")
    return [ratio > 1] + ([share >= 0.9] if bound == "model" else [])


def alternated(ways: dict[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """The median of each, taken in turns: a busy minute hits all alike."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, measure in ways.items():
            found[name].append(measure())
    return {name: statistics.median(rates) for name, rates in found.items()}


def agreement(peer: Peer, out: Path) -> float:
    """Mean cosine between the two tables, by the pictures' names."""
    names = peer("rows", out=str(out / "theirs"))["names"]
    theirs = np.load(out / "theirs" / "img_emb" / "img_emb_0.npy").astype(np.float32)
    table = open_table(out / "ours")
    assert set(names) == set(table.ids), "the two sides do not hold the same pictures"
    ours = np.asarray(table.vectors(names), dtype=np.float32)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float(np.mean((ours * theirs).sum(axis=1) / lengths))


def said(held: bool) -> str:
    """In words."""
    return "held" if held else "missed"


def _is_whole(location: str) -> bool:
    try:
        decode(location)
    except SkipInput:
        return False
    return True


if __name__ == "__main__":
    main()
