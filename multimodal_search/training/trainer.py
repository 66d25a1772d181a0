"""Lightning's Trainer as this project sets it up: devices, loggers, checkpoints, and quiet."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from tqdm import tqdm

from multimodal_search.errors import SettingsError, nearest
from multimodal_search.settings.models import TrainSettings
from multimodal_search.storage import write_atomically

MONITOR = "val/mrr"
PATIENCE_EPOCHS = 10
CHECKPOINTS = "checkpoints"
LOGS = "logs"
# set by flags of their own, or by what training promises (resuming, batches that are a pure function)
_RESERVED = {
    "max_epochs": "--epochs",
    "accelerator": "--device",
    "default_root_dir": "--output-dir",
    "callbacks": "the arguments of training.fit",
    "logger": "--output-dir (logs/ is inside it)",
    "enable_checkpointing": "nothing: checkpoints are how training chooses and resumes",
    "use_distributed_sampler": "nothing: batches are dealt to the processes already",
    "reload_dataloaders_every_n_epochs": "nothing: batches follow from the epoch already",
    "fast_dev_run": "--epochs 1 --limit 10",
}


def checkpoint_folder(settings: TrainSettings, output_dir: Path) -> Path:
    """Where ``best.ckpt`` and ``last.ckpt`` are."""
    return settings.checkpoint_dir or output_dir / CHECKPOINTS


def accelerator_of(device: str) -> str:
    """Lightning's name for ``--device``.

    Raises:
        SettingsError: ``cuda`` where there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError(
            "--device cuda: this machine has no CUDA device that torch can use",
            where="--device",
            remedy="use --device cpu (or auto), or install a CUDA build of torch and check nvidia-smi",
        )
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def check_trainer_options(options: dict[str, Any]) -> None:
    """Refuse what Lightning's Trainer does not know, and what has a flag of its own.

    Raises:
        SettingsError: naming the nearest option, or the flag; a strategy that heads do not survive.
    """
    known = [name for name in inspect.signature(L.Trainer.__init__).parameters if name != "self"]
    for name in options:
        if name in _RESERVED:
            raise SettingsError(
                f"trainer: {name!r} is not set here", where="trainer", remedy=f"use {_RESERVED[name]}"
            )
        if name not in known:
            raise SettingsError(
                f"trainer: unknown option {name!r}",
                where="trainer",
                remedy=nearest(name, [one for one in known if one not in _RESERVED]),
            )
    if options.get("strategy", "auto") not in ("auto", "ddp"):
        raise _refused_strategy(options["strategy"])


def make_trainer(
    settings: TrainSettings, output_dir: Path, callbacks: Sequence[Callback], *, validates: bool
) -> L.Trainer:
    """A deterministic Trainer that keeps ``checkpoints/{best,last}.ckpt`` and logs under ``logs/``.

    Args:
        validates: whether validation scenes exist; without them there is no best, only the last.

    Raises:
        SettingsError: an option under ``trainer:`` that cannot be met, or ``--device cuda`` without one.
    """
    check_trainer_options(settings.trainer)
    folder = checkpoint_folder(settings, output_dir)
    own: list[Callback] = []
    if validates:
        own.append(_Patience(monitor=MONITOR, mode="max", patience=PATIENCE_EPOCHS))
        own.append(_Checkpoint(dirpath=folder, filename="best", monitor=MONITOR, mode="max"))
    own.append(_Checkpoint(dirpath=folder, filename="last", save_on_train_epoch_end=True))
    if settings.trainer.get("enable_progress_bar", True):
        own.append(_EpochBar())
    options: dict[str, Any] = {
        "max_epochs": settings.epochs,
        "accelerator": accelerator_of(settings.device),
        "devices": 1,
        "deterministic": True,
        "gradient_clip_val": 1.0,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "default_root_dir": str(output_dir),
        "plugins": [],
        **settings.trainer,
    }
    options["enable_progress_bar"] = False  # Lightning's draws a bar a step; ours is one line for all epochs
    options["plugins"] = [_AtomicCheckpoints(), *_as_list(options["plugins"])]
    loggers = _loggers(output_dir)
    try:
        trainer = L.Trainer(
            callbacks=[*callbacks, *own], logger=loggers, enable_checkpointing=True, **options
        )
    except (MisconfigurationException, ImportError, TypeError, ValueError) as error:
        raise SettingsError(
            f"trainer: Lightning refuses these options: {error}", where="trainer", remedy="correct them"
        ) from error
    strategy = trainer.strategy  # "auto" with several devices is a forking one in a notebook
    here = isinstance(strategy, DDPStrategy) and strategy._start_method == "popen"
    if not here and not isinstance(strategy, SingleDeviceStrategy):
        raise _refused_strategy(type(strategy).__name__)
    return trainer


def _refused_strategy(name: object) -> SettingsError:
    """Heads and figures must come back in this very process, whole: not in a forked one, nor in shards."""
    return SettingsError(
        f"trainer: several processes by strategy {name!r} are not supported",
        where="trainer",
        remedy="use strategy: ddp with train.py as a command; in a notebook leave devices at 1",
    )


class _AtomicCheckpoints(TorchCheckpointIO):
    """A kill while a checkpoint is written leaves the one before."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as file:
            torch.save(checkpoint, file)


class _Checkpoint(ModelCheckpoint):
    """One file of a fixed name, whose score survives a moved output folder."""

    def __init__(self, **options: Any) -> None:
        super().__init__(save_top_k=1, enable_version_counter=False, auto_insert_metric_name=False, **options)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        here = str(Path(str(self.dirpath)) / f"{self.filename}{self.FILE_EXTENSION}")
        kept = list(state_dict.get("best_k_models", {}).values())
        scores = {here: kept[0]} if kept else {}
        moved = {"dirpath": self.dirpath, "best_k_models": scores, "last_model_path": ""}
        paths = {"best_model_path": here, "kth_best_model_path": here if scores else ""}
        super().load_state_dict({**state_dict, **moved, **paths})


class _EpochBar(Callback):
    """One line: epochs done, the loss, and the figure that chooses."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            total, done = trainer.max_epochs, trainer.current_epoch
            self._bar = tqdm(desc="training", total=total, initial=done, unit=" epochs", mininterval=0.5)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            shown = {
                name.split("/")[1]: f"{float(value):.3f}"
                for name, value in trainer.callback_metrics.items()
                if name in ("train/loss", MONITOR)
            }
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if hasattr(self, "_bar"):
            self._bar.close()


class _Patience(EarlyStopping):
    """Early stopping that a run resumed after its last epoch still honours."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


def _loggers(output_dir: Path) -> list[Logger]:
    folder = output_dir / LOGS
    loggers: list[Logger] = [CSVLogger(folder, name="csv")]
    if importlib.util.find_spec("tensorboard") is not None:
        loggers.append(TensorBoardLogger(folder, name="tensorboard"))
    return loggers


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without Lightning's tips and its warnings about what is meant here (no workers, one batch)."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    levels = [one.level for one in loggers]
    with warnings.catch_warnings():
        for text in (
            ".*does not have many workers.*",
            ".*The number of training batches.*",
            ".*exists and is not empty.*",
            ".*LeafSpec.*",
            ".*Checkpoint directory.*",
            ".*no.*val_dataloader.*",
            ".*sync_dist=True.*",  # every process has the same figures: each measures the whole batch
            ".*Total length of `list` across ranks is zero.*",
        ):
            warnings.filterwarnings("ignore", message=text)
        try:
            for one in loggers:
                one.setLevel(logging.ERROR)
            yield
        finally:
            for one, level in zip(loggers, levels, strict=True):
                one.setLevel(level)
