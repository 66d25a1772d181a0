"""Figures as lines that a job service reads: ``[metrics] train:loss=0.41; val:mrr=0.63;``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

_log = logging.getLogger(__name__)
_NAMES = {"train/loss": "train:loss", "val/mrr": "val:mrr"}


class MetricLines(Callback):
    """One line an epoch."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the epoch's figures."""
        seen = trainer.callback_metrics
        figures = {ours: float(seen[theirs]) for theirs, ours in _NAMES.items() if theirs in seen}
        _log.info("%s", _line({"epoch": trainer.current_epoch + 1, **figures}))


def unseen_line(metrics: Mapping[str, Any]) -> str:
    """The figures on unseen scenes, out of ``metrics.json``: ``test:text-image:recall@10`` and so on."""
    figures = {}
    for direction, entry in metrics["directions"].items():
        name = f"test:{direction.replace('->', '-')}"
        figures[f"{name}:recall@10"] = float(entry["R@10"])
        figures[f"{name}:mrr"] = float(entry["MRR"])
    return _line(figures)


def _line(figures: Mapping[str, float]) -> str:
    return "[metrics] " + " ".join(f"{name}={value:.6g};" for name, value in figures.items())
