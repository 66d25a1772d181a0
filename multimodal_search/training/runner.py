"""One run of Lightning's loop: begun or resumed, recorded, and stopped so that it can go on."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerStatus

from multimodal_search.errors import BundleError, SettingsError
from multimodal_search.settings.models import TrainSettings
from multimodal_search.training.datamodule import MomentsDataModule
from multimodal_search.training.module import AlignmentModule
from multimodal_search.training.trainer import checkpoint_folder, make_trainer, quiet_lightning

_log = logging.getLogger(__name__)
_KEY = "multimodal_search_run"


class History(Callback):
    """An entry an epoch, kept in the checkpoints; so is what a resumed run must have in common.

    Args:
        start: the validation figures before training, epoch 0.
        key: see ``run_training``.
    """

    def __init__(self, start: Mapping[str, float], key: Mapping[str, str]) -> None:
        self.entries: list[dict[str, float]] = [{"epoch": 0.0, **start}]
        self._key = dict(key)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note the epoch's figures, before the last checkpoint is written."""
        figures = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if name == "train/loss" or name.startswith("val/")
        }
        self.entries.append({"epoch": float(trainer.current_epoch + 1), **figures})

    def state_dict(self) -> dict[str, Any]:
        """The entries so far."""
        return {"entries": [dict(entry) for entry in self.entries]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint's entries."""
        self.entries[:] = [dict(entry) for entry in state_dict["entries"]]

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the run's key beside the weights."""
        checkpoint[_KEY] = dict(self._key)


def run_training(
    module: AlignmentModule,
    data: MomentsDataModule,
    settings: TrainSettings,
    output_dir: Path,
    callbacks: Sequence[Callback],
    *,
    key: Mapping[str, str],
    validates: bool,
) -> None:
    """Train, from the start or from ``checkpoints/last.ckpt``; the checkpoints hold the outcome.

    Args:
        key: what must be the same for a run to be resumed, by the name that an error shows.
        validates: whether there are figures that choose the best epoch.

    Raises:
        SettingsError: the checkpoint belongs to other settings or other data.
        KeyboardInterrupt: stopped by the user.
    """
    folder = checkpoint_folder(settings, output_dir)
    last = folder / "last.ckpt"
    resumed = settings.resume and last.is_file()
    if resumed:
        _check_key(last, key)
    else:
        if settings.resume:
            _log.info("Nothing to resume in %s: training begins", folder)
        # a run killed before its first epoch's end must not be resumed from another run's checkpoint
        for stale in (last, folder / "best.ckpt"):
            stale.unlink(missing_ok=True)
    torch.manual_seed(settings.seed)
    with quiet_lightning(), one_thread():
        trainer = make_trainer(settings, output_dir, callbacks, validates=validates)
        _fit(trainer, module, data, str(last) if resumed else None, folder)
    if not trainer.is_global_zero:
        sys.exit(0)  # the other processes of a distributed run have done their part; the first one exports


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Heads are so small that handing a step out to several threads costs more than it saves.

    On two cores with another program at work a step took ten times as long, since threads spin while they
    wait for one that does not run. One thread also makes the sums' order, and so the heads, the same on
    machines of any number of cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def load_checkpoint(module: AlignmentModule, path: Path) -> int:
    """Load a checkpoint's weights into the module; returns its epoch, counted from 1.

    Raises:
        BundleError: it is absent or unreadable.
    """
    checkpoint = _read(path)
    module.cpu().load_state_dict(checkpoint["state_dict"])
    return int(checkpoint["epoch"]) + 1


def _fit(
    trainer: L.Trainer,
    module: AlignmentModule,
    data: MomentsDataModule,
    resume_from: str | None,
    folder: Path,
) -> None:
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if main else None
    try:
        trainer.fit(module, datamodule=data, ckpt_path=resume_from, weights_only=True)
    except SystemExit as error:
        if trainer.state.status is not TrainerStatus.INTERRUPTED:
            raise
        # Lightning would end the process; half-trained heads must not be exported
        raise KeyboardInterrupt(_stopped(folder)) from error
    finally:
        if main and handler is not None:
            signal.signal(signal.SIGINT, handler)  # Lightning leaves Ctrl-C ignored
    if trainer.state.status is TrainerStatus.INTERRUPTED:
        raise KeyboardInterrupt(_stopped(folder))


def _stopped(folder: Path) -> str:
    if (folder / "last.ckpt").is_file():
        return f"training was stopped; the same command with --resume goes on from {folder / 'last.ckpt'}"
    return "training was stopped before its first epoch ended; run the same command again"


def _check_key(path: Path, key: Mapping[str, str]) -> None:
    before = _read(path).get(_KEY, {})
    for name, value in key.items():
        if before.get(name) != value:
            raise SettingsError(
                f"--resume: the checkpoint was made with {name} = {before.get(name)}, now it is {value}",
                where=path,
                remedy="give the same settings and data as before, or leave --resume out to begin anew",
            )


def _read(path: Path) -> dict[str, Any]:
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise BundleError(
            f"The checkpoint cannot be read: {error}",
            where=path,
            remedy="leave --resume out to train again; training takes seconds once features are there",
        ) from error
    return checkpoint
