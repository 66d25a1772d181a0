"""A worker of bulk embedding: whole parts, checkpoints that resume bit for bit, progress that adds up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from multimodal_search.embedding import worker as worker_module
from multimodal_search.embedding.tasks import PartDone, PartTask
from multimodal_search.embedding.worker import BuildWorker, Embedder, EncoderChoice
from multimodal_search.engines import Place, Report
from multimodal_search.storage import S3Options
from multimodal_search.tables import TableInfo, part_name
from multimodal_search.types import Input, Modality

HERE = Place(0, 1, "cpu")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Input]:
    folder = tmp_path_factory.mktemp("pictures")
    inputs = []
    for number in range(24):
        coarse = np.random.default_rng(number).integers(0, 256, (4, 6, 3), dtype=np.uint8)
        path = folder / f"{number:02d}.png"
        Image.fromarray(coarse).resize((160, 96)).save(path)
        inputs.append(Input(path.name, "k", str(path)))
    (folder / "05.png").write_bytes(b"broken")
    return inputs


def make(folder: Path, **options: Any) -> Embedder:
    folder.mkdir(exist_ok=True)
    build = BuildWorker(
        EncoderChoice("sample/vit", Modality.IMAGE),
        str(folder),
        S3Options(),
        **{"unfinished": folder / ".unfinished", "batch_size": 4, **options},
    )
    return build(HERE)


def tasks(worker: Embedder, inputs: list[Input], size: int) -> list[PartTask]:
    info = TableInfo(worker.hello.fingerprint, worker.hello.card.dim, worker.hello.card, dtype="float16")
    found = []
    for start in range(0, len(inputs), size):
        chunk = inputs[start : start + size]
        name = part_name([one.id for one in chunk], [one.key for one in chunk])
        found.append(PartTask(name, start, tuple(chunk), info, len(chunk)))
    return found


def parts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("part-*")}


def test_every_task_ends_in_one_finished_report_and_progress_adds_up(
    pictures: list[Input], tmp_path: Path
) -> None:
    worker = make(tmp_path / "t")
    reports = list(worker.run(iter(tasks(worker, pictures, 10))))
    done = [report.value for report in reports if report.finished]
    assert [one.part.rows for one in done] == [9, 10, 4]
    assert [one.failed for one in done] == [1, 0, 0]
    progress = [one.value.progress if isinstance(one.value, PartDone) else one.value for one in reports]
    assert sum(one.rows for one in progress) == 24
    assert sum(one.failed for one in progress) == 1
    assert sum(sum(one.seconds.values()) for one in progress) > 0


def test_batches_finished_before_a_kill_are_not_computed_again(
    pictures: list[Input], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make(tmp_path / "whole", unfinished=None)
    list(whole.run(iter(tasks(whole, pictures, 24))))

    monkeypatch.setattr(worker_module, "CHECKPOINT_SECONDS", 0.0)
    killed = make(tmp_path / "killed")
    running = killed.run(iter(tasks(killed, pictures, 24)))
    for _ in range(3):
        next(running)
    running.close()
    assert not parts(tmp_path / "killed")
    assert list((tmp_path / "killed/.unfinished").rglob("*.npz"))

    resumed = make(tmp_path / "killed")
    encoded: list[int] = []
    real = resumed._encoder.begin
    monkeypatch.setattr(resumed._encoder, "begin", lambda ready: encoded.append(len(ready)) or real(ready))
    reports: list[Report] = list(resumed.run(iter(tasks(resumed, pictures, 24))))
    assert sum(encoded) < 23 - 4
    assert parts(tmp_path / "killed") == parts(tmp_path / "whole")
    assert reports[-1].value.failed == 1
    assert not list((tmp_path / "killed/.unfinished").rglob("*.npz"))


def test_an_excluded_input_is_listed_and_its_batch_is_kept(pictures: list[Input], tmp_path: Path) -> None:
    worker = make(tmp_path / "t")
    task = tasks(worker, pictures, 24)[0].without({"02.png": "it ends the process"})
    done = [report.value for report in worker.run(iter([task])) if report.finished]
    assert done[0].part.rows == 22
    assert done[0].failed == 2


def test_a_part_without_inputs_to_compute_still_ends(tmp_path: Path) -> None:
    worker = make(tmp_path / "t")
    info = TableInfo(worker.hello.fingerprint, worker.hello.card.dim, worker.hello.card)
    reports = list(worker.run(iter([PartTask("part-0", 0, (), info, 0)])))
    assert [one.finished for one in reports] == [True]
