"""Where this process runs, and what follows for its defaults; the only reader of the clouds' variables."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

_OUTPUT = {"local": "output", "colab": "/content/output", "sagemaker": "/opt/ml/model"}
_FEATURES = {"colab": "/content/features", "sagemaker": "/opt/ml/checkpoints/features"}


def detect_cloud(environment: Mapping[str, str] = os.environ) -> str:
    """``sagemaker``, ``colab`` or ``local``."""
    if "SM_MODEL_DIR" in environment or "SM_TRAINING_ENV" in environment:
        return "sagemaker"
    if "google.colab" in sys.modules or "COLAB_RELEASE_TAG" in environment:
        return "colab"
    return "local"


def place_defaults(cloud: str, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The settings that follow from the place; files and flags override them."""
    defaults: dict[str, Any] = {"cloud": cloud, "output_dir": _OUTPUT[cloud]}
    if cloud in _FEATURES:
        defaults["features_dir"] = _FEATURES[cloud]
    if cloud == "sagemaker":
        defaults["output_dir"] = environment.get("SM_MODEL_DIR", _OUTPUT[cloud])
    return defaults


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
