"""Every shipped YAML parses, alone and as its own comment says it is used."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from multimodal_search.cli.train import settings_from
from multimodal_search.settings import EmbedSettings, SpecimensSettings, parse

ROOT = Path(__file__).parents[1]
BULK = sorted((ROOT / "configs").glob("bulk-*.yaml"))
SPECIMENS = ROOT / "configs" / "specimens.yaml"
CONFIGS = sorted({*(ROOT / "configs").glob("*.yaml")} - {SPECIMENS, *BULK})


def test_there_are_configs() -> None:
    assert len(CONFIGS) >= 8
    assert len(BULK) >= 4


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.stem)
def test_the_command_in_the_comment_parses(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    settings_from(["--config", str(config)])
    command = re.search(r"^# python train\.py (.+)$", config.read_text(encoding="utf-8"), re.M)
    assert command, f"{config} does not say how it is used"
    assert config.name in command[1]
    settings = settings_from(shlex.split(command[1]))
    sources = [settings.data_dir, settings.nuscenes_path, settings.pairs, settings.use_sample_data]
    assert sum(bool(one) for one in sources) == 1


@pytest.mark.parametrize("config", BULK, ids=lambda config: config.stem)
def test_the_bulk_command_in_the_comment_parses(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    command = re.search(r"^# multimodal-search embed (.+)$", config.read_text(encoding="utf-8"), re.M)
    assert command, f"{config} does not say how it is used"
    assert config.name in command[1]
    settings = parse(EmbedSettings, shlex.split(command[1]), prog="multimodal-search embed", summary="")
    sources = [settings.image_dir, settings.path_file, settings.nuscenes_path, settings.data_dir]
    assert sum(bool(one) for one in sources) == 1


def test_the_command_for_specimens_parses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    command = re.search(r"^# multimodal-search specimens (.+)$", SPECIMENS.read_text(encoding="utf-8"), re.M)
    assert command
    settings = parse(
        SpecimensSettings, shlex.split(command[1]), prog="multimodal-search specimens", summary=""
    )
    assert settings.encoder == "hf/facebook/dinov2-small"
