"""The recipe of the sample encoders, on a world of forty scenes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tokenizers import Tokenizer

from multimodal_search.encoders.sample_model import TextTower, VisionTower

SCRIPT = Path(__file__).parents[2] / "data_preparation" / "train_sample_encoders.py"


def run(out: Path, cache: Path) -> dict[str, float]:
    sizes = ["--scenes", "40", "--held-out", "20", "--batch-size", "20", "--epochs", "1", "--threads", "1"]
    command = [sys.executable, str(SCRIPT), *sizes, "--cache", str(cache), "--out", str(out)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    return dict(json.loads(finished.stdout[finished.stdout.index("{") :]))


@pytest.mark.slow
def test_the_recipe_writes_loadable_weights_and_the_same_ones_each_time(tmp_path: Path) -> None:
    scores = run(tmp_path / "first", tmp_path / "cache")
    assert all(0 <= value <= 1 for value in scores.values())
    assert {"text[en]->image R@10", "text[ja]->image R@10", "manoeuvre from picture"} <= set(scores)
    assert run(tmp_path / "second", tmp_path / "cache") == scores
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == ["sample_text.safetensors", "sample_tokenizer.json", "sample_vit.safetensors"]
    for name in files:
        first, second = ((tmp_path / run / name).read_bytes() for run in ("first", "second"))
        assert first == second
    VisionTower().load_state_dict(load_file(tmp_path / "first" / "sample_vit.safetensors"))
    TextTower().load_state_dict(load_file(tmp_path / "first" / "sample_text.safetensors"))
    ids = Tokenizer.from_file(str(tmp_path / "first" / "sample_tokenizer.json")).encode("夜の右折").ids
    assert ids
    assert 0 not in ids
