"""Runs inside clip-retrieval's environment: takes orders, times its own code, imports none of ours.

Its reader, mapper, writer, runner and worker are its own, as installed. Two things are ours, both in its
favour: models are loaded and warmed up before the clock starts (its own cache keeps them), and its loggers,
two more processes that import the package again, are left out.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what it prints goes to the log; answers have a channel of their own

from all_clip import load_clip  # noqa: E402
from clip_retrieval.clip_inference.main import main as inference  # noqa: E402
from clip_retrieval.clip_inference.reader import FilesReader  # noqa: E402


class NoLogger:
    """Stands in for both of its loggers."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def start(self) -> None:
        pass

    def end(self) -> None:
        pass

    def __call__(self, stats: dict[str, float]) -> None:
        pass


def loaded(model: str, batch_size: int) -> tuple[Any, Any, Any]:
    """Model, preprocessing and tokenizer; the arguments are its worker's, so that its cache serves it."""
    return load_clip(clip_model=model, use_jit=False, warmup_batch_size=batch_size, clip_cache_path=None)


def load(model: str, batch_size: int) -> dict[str, Any]:
    """Load and warm up a model; says whether it is left in training mode, as clip-retrieval will run it."""
    return {"training": loaded(model, batch_size)[0].training}


def read(model: str, folder: str, batch_size: int, num_prepro_workers: int) -> dict[str, Any]:
    """Its files reader alone, over a folder: read, decode, preprocess, collate."""
    _, preprocess, tokenizer = loaded(model, 1)
    start = time.perf_counter()
    reader = FilesReader(
        list, preprocess, tokenizer, folder, batch_size, num_prepro_workers, enable_text=False
    )
    count = sum(len(batch["image_tensor"]) for batch in reader)
    return {"images": count, "seconds": time.perf_counter() - start}


def infer(model: str, folder: str, out: str, batch_size: int, num_prepro_workers: int) -> dict[str, Any]:
    """Its whole ``clip-retrieval inference``: listing, reading, mapping, writing."""
    start, busy = time.perf_counter(), processor_seconds()
    inference(
        input_dataset=folder,
        output_folder=out,
        batch_size=batch_size,
        num_prepro_workers=num_prepro_workers,
        enable_text=False,
        clip_model=model,
        use_jit=False,
    )
    return {"seconds": time.perf_counter() - start, "processor_seconds": processor_seconds() - busy}


def processor_seconds() -> float:
    """Of this process and of those it has seen end."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def rows(out: str) -> dict[str, Any]:
    """What it wrote: the names of the pictures; the vectors are out/img_emb/img_emb_0.npy."""
    import pandas

    table = pandas.read_parquet(Path(out) / "metadata" / "metadata_0.parquet")
    return {"names": [Path(path).name for path in table["image_path"]]}


def main() -> None:
    """Answer orders until the input ends."""
    for module, logger in (("main", "LoggerReader"), ("worker", "LoggerWriter")):
        setattr(sys.modules[f"clip_retrieval.clip_inference.{module}"], logger, NoLogger)
    orders = {"load": load, "read": read, "infer": infer, "rows": rows}
    for line in sys.stdin:
        wanted = json.loads(line)
        answer = partial(orders[wanted.pop("order")], **wanted)()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
