"""What embedding and searching many images costs, from rates and prices: the tables of docs/cost.md.

python benchmarks/cost.py [--prices benchmarks/prices.yaml] [--write docs/cost.md]
"""

from __future__ import annotations

import argparse
import bisect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from multimodal_search.index import kinds
from multimodal_search.index.choice import choose

ROOT = Path(__file__).parents[1]
SIZES = {"1 M images": 10**6, "100 M images": 10**8, "10 B images": 10**10}
SCENES = 10_000
KINDS = ("flat", "ivfflat", "sq8", "ivfpq")  # as `index --type auto` takes them, as memory gets scarce
BEGIN, END = "<!-- made by benchmarks/cost.py -->", "<!-- end -->"


def rate(prices: Mapping[str, Any], instance: Mapping[str, Any]) -> tuple[float, str]:
    """(images a second, what bounds it) on one instance."""
    gpu = prices["images_a_second"][instance["gpu"]]
    if gpu is None:
        work = prices["model"]["gflop_an_image"] / 1000
        gpu = prices["tflops"][instance["gpu"]] * prices["reached_share"] / work
    cores = instance["vcpus"] / 2 * prices["cores_for_decoding_share"]
    decoding = cores * 1000 / prices["decode_ms_an_image"]
    model = gpu * instance["gpus"]
    return (model, "the GPU") if model <= decoding else (decoding, "decoding")


def hours_and_dollars(images: float, a_second: float, dollars_an_hour: float) -> tuple[float, float]:
    """On one instance; the dollars are the same on any number of them."""
    hours = images / a_second / 3600
    return hours, hours * dollars_an_hour


def embedding(prices: Mapping[str, Any]) -> Iterator[str]:
    """The table of instances."""
    yield f"| instance | images a second, bound by | {' | '.join(SIZES)} | {SCENES:,} scenes |"
    yield "|---|---|" + "---|" * (len(SIZES) + 1)
    for name, instance in prices["instances"].items():
        a_second, bound = rate(prices, instance)
        cells = [f"{a_second:,.0f}, {bound}"]
        for images in [*SIZES.values(), SCENES * prices["moments_a_scene"]]:
            hours, dollars = hours_and_dollars(images, a_second, instance["dollars_an_hour"])
            spot = dollars * prices["spot_share"]
            cells.append(f"{_number(hours)} h, ${_number(dollars)} (Spot ${_number(spot)})")
        yield f"| {name} | {' | '.join(cells)} |"


def storage(prices: Mapping[str, Any]) -> Iterator[str]:
    """What S3 asks for the images and vectors, and which index holds the vectors."""
    yield "| | reading the images once | vectors, 16 bits | S3, a month | index with 64 GB of memory |"
    yield "|---|---|---|---|---|"
    dim, s3 = prices["model"]["dim"], prices["s3"]
    for name, images in SIZES.items():
        reading = images / 1000 * s3["dollars_a_1000_gets"]
        vectors_gb = images * dim * 2 / 1e9
        yield (
            f"| {name} | ${_number(reading)}, {_size(images * s3['image_kb'] / 1e6)} | {_size(vectors_gb)} "
            f"| ${_number(vectors_gb * s3['dollars_a_gb_month'])} | {index_of(images, dim)} |"
        )


def index_of(rows: int, dim: int, budget_bytes: int = 64_000_000_000) -> str:
    """What ``index --type auto`` takes within a budget, or how many machines share the smallest kind."""
    try:
        chosen = choose(rows, dim, "auto", "cosine", budget_bytes)
    except ValueError:
        need = rows * kinds.code_bytes("ivfpq", dim, "float16")
        machines = int(np.ceil(need / budget_bytes))
        return f"`ivfpq` in {machines} parts of 64 GB ({_size(need / 1e9)}), or a cluster of Qdrant"
    held = rows * kinds.code_bytes(chosen.kind, dim, chosen.dtype)
    return f"`{chosen.kind}` ({_size(held / 1e9)})"


def engines(prices: Mapping[str, Any]) -> Iterator[str]:
    """How many vectors each kind of local index takes in an instance's memory, and where Qdrant begins."""
    yield f"| vectors of {prices['model']['dim']}, up to | {' | '.join(f'`{one}`' for one in KINDS)} | more |"
    yield "|---|" + "---|" * (len(KINDS) + 1)
    for name, instance in prices["instances"].items():
        budget = instance["memory_gb"] * prices["index_memory_share"]
        cells = [
            _rows(most_rows(kind, prices["model"]["dim"], round(budget * 1e9))) if kind else "Qdrant"
            for kind in (*KINDS, None)
        ]
        yield f"| {name}, {_size(budget)} for the index | {' | '.join(cells)} |"


def most_rows(kind: str, dim: int, budget_bytes: int) -> int:
    """The most vectors for which ``index --type auto`` still takes this kind, or a more exact one."""

    def fits(rows: int) -> bool:
        try:
            chosen = choose(rows, dim, "auto", "cosine", budget_bytes).kind
        except ValueError:
            return False
        return KINDS.index(chosen) <= KINDS.index(kind)

    return bisect.bisect_left(range(1, 10**13), True, key=lambda rows: not fits(rows))


def tables(prices: Mapping[str, Any]) -> str:
    """Everything between the two marks of the page."""
    seconds = (
        prices["training"]["seconds"] * SCENES * prices["moments_a_scene"] / prices["training"]["moments"]
    )
    guessed = [gpu for gpu, measured in prices["images_a_second"].items() if measured is None]
    rates = (
        f"Rates of {' and '.join(guessed)} are estimates, not measured." if guessed else "Rates are measured."
    )
    said = [
        f"{prices['model']['name']}, 1600 x 900 JPEGs on S3; prices of {prices['region']}, "
        f"noted {prices['noted']}. {rates}",
        "",
        *embedding(prices),
        "",
        f"Training the heads on {SCENES:,} scenes of {prices['moments_a_scene']} moments: about "
        f"{seconds / 60:.0f} minutes on two cores, less than a dollar on any of these.",
        "",
        *storage(prices),
        "",
        *engines(prices),
    ]
    return "\n".join(said)


def _number(value: float) -> str:
    """Two digits that mean something."""
    if value >= 100:
        return f"{round(value, 2 - len(str(int(value)))):,.0f}"
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _rows(count: int) -> str:
    for unit, factor in ((" billion", 1e9), (" million", 1e6), (",000", 1e3)):
        if count >= factor:
            return f"{_number(count / factor)}{unit}"
    return f"{count}"


def _size(gigabytes: float) -> str:
    for unit, factor in (("PB", 1e6), ("TB", 1e3)):
        if gigabytes >= factor:
            return f"{_number(gigabytes / factor)} {unit}"
    return f"{_number(gigabytes)} GB"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prices", type=Path, default=ROOT / "benchmarks" / "prices.yaml")
    parser.add_argument("--write", type=Path, help="a page whose marked part is replaced")
    flags = parser.parse_args()
    made = tables(yaml.safe_load(flags.prices.read_text(encoding="utf-8")))
    print(made)
    if flags.write:
        page = flags.write.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        flags.write.write_text(f"{before}{BEGIN}\n{made}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
