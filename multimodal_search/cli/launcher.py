"""Where this process runs, and what follows for its defaults; the only reader of the clouds' variables."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from multimodal_search.errors import ProjectError
from multimodal_search.settings import S3Settings
from multimodal_search.storage import S3Options, configure_s3

_FAILURE_CHARACTERS = 1024  # as much as the service shows


def detect_cloud(environment: Mapping[str, str] = os.environ) -> str:
    """``sagemaker``, ``colab`` or ``local``."""
    if "SM_MODEL_DIR" in environment or "SM_TRAINING_ENV" in environment:
        return "sagemaker"
    if "google.colab" in sys.modules or "COLAB_RELEASE_TAG" in environment:
        return "colab"
    return "local"


def place_defaults(cloud: str, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The settings that follow from the place; files and flags override them.

    A SageMaker job ends without a signal that its program gets, and begins again on another machine: what is
    under ``checkpoints`` is all that it keeps, so features and checkpoints go there, and it resumes.
    """
    if cloud == "colab":
        return {"cloud": cloud, "output_dir": "/content/output", "features_dir": "/content/features"}
    if cloud == "local":
        return {"cloud": cloud, "output_dir": "output"}
    model = Path(environment.get("SM_MODEL_DIR", "/opt/ml/model"))
    kept = model.parent / "checkpoints"
    return {
        "cloud": cloud,
        "output_dir": str(model),
        "checkpoint_dir": str(kept / "training"),
        "features_dir": str(kept / "features"),
        "resume": True,
    }


def process_options(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Options of Lightning's Trainer where torchrun started several processes, on one or more machines."""
    here = environment.get("LOCAL_WORLD_SIZE", "")
    world = environment.get("WORLD_SIZE", "")
    if not (here.isdigit() and world.isdigit()) or int(world) < 2:
        return {}
    return {"devices": int(here), "num_nodes": int(world) // int(here), "strategy": "ddp"}


@contextlib.contextmanager
def leaving_the_reason(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """In a SageMaker job, a failure's reason goes into the file whose text the service shows.

    The first of several processes that fail says why; the others fail because of it.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if detect_cloud(environment) == "sagemaker":
            folder = environment.get("SM_OUTPUT_DIR", "/opt/ml/output")
            file = Path(environment.get("SM_OUTPUT_FAILURE") or Path(folder) / "failure")
            told = str(error) if isinstance(error, ProjectError) else f"{type(error).__name__}: {error}"
            with contextlib.suppress(OSError), file.open("x", encoding="utf-8") as out:
                out.write(told[:_FAILURE_CHARACTERS])
        raise


def sagemaker_channel(environment: Mapping[str, str] = os.environ) -> str | None:
    """The folder of the training channel, where the job was given one."""
    return environment.get("SM_CHANNEL_TRAINING") or environment.get("SM_CHANNEL_TRAIN")


def process_rank(environment: Mapping[str, str] = os.environ) -> int:
    """Which process of a run in several this is; 0 is the one that speaks and writes the bundle.

    Lightning starts the others with ``LOCAL_RANK``; torchrun and Slurm start all of them.
    """
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        if environment.get(name, "").isdigit():
            return int(environment[name])
    return 0


def set_up(settings: S3Settings, *, quiet: bool = False) -> None:
    """What every command does once its settings are known: its log is shown, S3 is reached as asked.

    Args:
        quiet: what is printed is for another program: no log.
    """
    if quiet:
        _log_nothing()
    else:
        configure_logging()
    configure_s3(S3Options(**settings.s3_options()))


def _log_nothing() -> None:
    """What an earlier command of this process set up is undone."""
    logger = logging.getLogger("multimodal_search")
    for handler in [one for one in logger.handlers if isinstance(one, _PlainLines)]:
        logger.removeHandler(handler)


def configure_logging() -> None:
    """The library logs; a command shows it as plain lines, and keeps other libraries to warnings.

    Of several processes the first one speaks: the others find the same.
    """
    logger = logging.getLogger("multimodal_search")
    if not any(isinstance(handler, _PlainLines) for handler in logger.handlers):
        logger.addHandler(_PlainLines())
    logger.setLevel(logging.INFO if process_rank() == 0 else logging.ERROR)
    logger.propagate = False


class _PlainLines(logging.Handler):
    """To the standard output of the moment, so that a redirected one is honoured."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        print(text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}")
