"""Killed, interrupted and resumed runs end as uninterrupted ones do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest

from multimodal_search.errors import BundleError, SettingsError
from multimodal_search.projectors.bundle import save_projectors
from multimodal_search.settings.models import TrainSettings
from multimodal_search.splits import make_splits
from multimodal_search.training.fit import FitResult, fit
from multimodal_search.types import MomentFeatures

Make = Callable[..., MomentFeatures]
QUIET = {"enable_progress_bar": False}

_SCRIPT = """
import os, runpy, signal, sys
from pathlib import Path
import lightning as L, torch
from multimodal_search.projectors.bundle import save_projectors
from multimodal_search.settings.models import TrainSettings
from multimodal_search.splits import make_splits
from multimodal_search.training.fit import fit

torch.set_num_threads(1)
conftest, folder, kill_at, resume = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "resume"
features = runpy.run_path(conftest)["make_features"].__wrapped__()(60, signals=True)

class Kill(L.Callback):
    def on_train_batch_end(self, trainer, *rest):
        if trainer.global_step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

quiet = {"enable_progress_bar": False}
settings = TrainSettings(dim=8, epochs=4, resume=resume, learning_rate=3e-3, trainer=quiet)
result = fit(features, make_splits(features.items), settings, folder, [Kill()])
save_projectors(folder, result.projectors)
print([len(result.history), sorted(result.chosen.items())])
"""


def _run(folder: Path, kill_at: int, resume: bool) -> subprocess.CompletedProcess[str]:
    conftest = Path(__file__).with_name("conftest.py")
    command = [
        sys.executable,
        "-c",
        _SCRIPT,
        str(conftest),
        str(folder),
        str(kill_at),
        "resume" if resume else "new",
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    whole = _run(tmp_path / "whole", -1, False)
    assert whole.returncode == 0, whole.stderr
    expected = {path.name: path.read_bytes() for path in (tmp_path / "whole").glob("*.pt")}
    assert len(expected) == 3
    folder = tmp_path / "killed"
    # within the first epoch (nothing to resume yet), in the middle of one, and at the end of one
    for kill_at, resume in ((7, False), (17, True), (30, True)):
        killed = _run(folder, kill_at, resume)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not list(folder.glob("*.pt"))
    resumed = _run(folder, -1, True)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == whole.stdout
    assert {path.name: path.read_bytes() for path in folder.glob("*.pt")} == expected


class _At(L.Callback):
    """Does something once at a step."""

    def __init__(self, step: int, action: Callable[[], None]) -> None:
        self.step, self.action = step, action

    def on_train_batch_end(self, trainer: L.Trainer, *rest: object) -> None:
        if trainer.global_step == self.step:
            self.action()


def _bytes(result: FitResult, folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in save_projectors(folder, result.projectors)]


def test_ctrl_c_leaves_a_state_that_resumes_and_says_how(make_features: Make, tmp_path: Path) -> None:
    features = make_features(40, signals=True)
    splits = make_splits(features.items)
    settings = TrainSettings(dim=8, epochs=4, trainer=QUIET)
    before = signal.getsignal(signal.SIGINT)
    stop = _At(25, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match="--resume"):
        fit(features, splits, settings, tmp_path / "one", [stop])
    assert signal.getsignal(signal.SIGINT) is before, "Ctrl-C works again"
    resumed = fit(features, splits, settings.model_copy(update={"resume": True}), tmp_path / "one")
    whole = fit(features, splits, settings, tmp_path / "two")
    assert _bytes(resumed, tmp_path / "one") == _bytes(whole, tmp_path / "two")
    assert [entry["epoch"] for entry in resumed.history] == [entry["epoch"] for entry in whole.history]


def test_a_run_stopped_early_is_not_trained_further_by_resuming(make_features: Make, tmp_path: Path) -> None:
    features = make_features(60, noise=0.0)
    splits = make_splits(features.items)
    settings = TrainSettings(dim=8, epochs=40, trainer=QUIET)
    first = fit(features, splits, settings, tmp_path)
    assert 2 < len(first.history) < 41, "nothing to gain: early stopping ends the run"
    moved = tmp_path.with_name(tmp_path.name + " moved")
    tmp_path.rename(moved)
    again = fit(features, splits, settings.model_copy(update={"resume": True}), moved)
    assert again.history == first.history
    assert again.chosen == first.chosen
    assert _bytes(again, moved) == _bytes(first, moved)


def test_other_settings_or_data_are_not_resumed(make_features: Make, tmp_path: Path) -> None:
    features = make_features(20)
    splits = make_splits(features.items)
    settings = TrainSettings(dim=8, epochs=2, trainer=QUIET)
    fit(features, splits, settings, tmp_path)
    others = (({"epochs": 3}, "--epochs"), ({"seed": 5}, "--seed"), ({"loss": "sigmoid"}, "--loss"))
    for change, named in (*others, ({"dim": 4}, "heads")):
        changed = settings.model_copy(update={"resume": True, **change})
        with pytest.raises(SettingsError, match=f"made with {named}") as caught:
            fit(features, splits, changed, tmp_path)
        assert "last.ckpt" in str(caught.value)
    fewer = features.select(features.scenes()[:15])
    with pytest.raises(SettingsError, match="training scenes"):
        fit(fewer, make_splits(fewer.items), settings.model_copy(update={"resume": True}), tmp_path)


def test_a_damaged_checkpoint_is_an_error_with_a_way_out(make_features: Make, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").write_bytes(b"PK half")
    features = make_features(20)
    settings = TrainSettings(dim=8, epochs=2, trainer=QUIET, resume=True)
    with pytest.raises(BundleError, match="cannot be read") as caught:
        fit(features, make_splits(features.items), settings, tmp_path)
    assert "--resume" in str(caught.value)


def test_checkpoints_hold_heads_and_optimiser_only(make_features: Make, tmp_path: Path) -> None:
    features = make_features(20)
    fit(features, make_splits(features.items), TrainSettings(dim=8, epochs=1, trainer=QUIET), tmp_path)
    for path in (tmp_path / "checkpoints").iterdir():
        assert path.stat().st_size < 60_000
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_lightning_says_nothing_that_is_meant_here(
    make_features: Make, tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    features = make_features(20)
    fit(features, make_splits(features.items), TrainSettings(dim=8, epochs=2), tmp_path)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "training" in printed.err, "the progress bar"
    assert "Lightning" not in printed.err
    assert not [one for one in recwarn if "lightning" in str(one.filename)]
