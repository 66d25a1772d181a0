"""From recordings to a search by signal: the same manoeuvre is found in scenes that nobody trained on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mcap")

import multimodal_search
from multimodal_search.cli import main
from multimodal_search.extraction.mcap_sample import write_mcap

SCENES = 100


@pytest.mark.slow
def test_a_signal_finds_its_manoeuvre_in_unseen_scenes(tmp_path: Path) -> None:
    write_mcap(tmp_path / "recordings", scenes=SCENES, progress=False)
    data, out = tmp_path / "data", tmp_path / "out"
    extract = ["extract", "--mcap", str(tmp_path / "recordings"), "--text-topic", "/events"]
    assert main([*extract, "--output-dir", str(data)]) == 0
    train = ["train", "--data-dir", str(data), "--include-timeseries", "--output-dir", str(out)]
    train += ["--image-encoder", "sample/vit", "--text-encoder", "sample/text", "--epochs", "1"]
    assert main(train) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["labels"]["timeseries->text"]["manoeuvre"]["mAP"] >= 0.7

    assert "recording" not in metrics["labels"]["timeseries->text"]  # a file's address is no label

    records = {one["scene_id"]: one for one in json.loads((data / "scenes_metadata.json").read_text())}
    log_of = {scene_id: record["log"] for scene_id, record in records.items()}
    unseen = set(metrics["splits"]["test"])
    assert not {log_of[one] for one in unseen} & {log_of[one] for one in metrics["splits"]["train"]}
    searcher = multimodal_search.load(out)
    # by default a signal is compared with signals
    precisions: dict[str | None, list[float]] = {None: [], "text": []}
    for scene_id in unseen:
        series = str(data / f"timeseries/{scene_id}.npy")
        wanted = records[scene_id]["metadata"]["manoeuvre"]
        for against, found in precisions.items():
            hits = searcher.search(series=series, k=SCENES, against=against)
            others = [hit for hit in hits if hit.scene_id in unseen - {scene_id}]
            relevant = np.array([hit.metadata["manoeuvre"] == wanted for hit in others])
            assert len(others) == len(unseen) - 1
            if relevant.any():
                precision = np.cumsum(relevant) / np.arange(1, len(relevant) + 1)
                found.append(float(precision[relevant].mean()))
    for against, found in precisions.items():
        assert len(found) >= 8
        print(f"mAP of the manoeuvre over {len(found)} queries against {against}: {np.mean(found):.3f}")
        assert np.mean(found) >= 0.7
