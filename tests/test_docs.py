"""Every code block of README.md and docs/ runs: shell and Python as written, YAML and JSON parsed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
RUN = {"bash", "python", "yaml", "json"}
# Pages whose commands read what `make demo` or a page before made.
NEEDS_BUNDLE = {
    "bundle.md",
    "engines-of-search.md",
    "search.md",
    "search-page.md",
    "map.md",
    "clusters.md",
    "README.md",
    "README.ja.md",
}
NEEDS_DATA = {"README.md"}
NEEDS_BUCKET = {"data.md", "embed-s3-paths.md", "s3.md"}
# Weights that only a hub has: pages of bulk embedding name them, tests run small random ones.
STAND_INS = {
    "open_clip/ViT-L-14": "hf/dinov2",
    "open_clip/ViT-B-16": "open_clip/ViT-B-16 --weights random",
    "hf/facebook/dinov2-base": "hf/dinov2",
}


def blocks(page: Path) -> list[tuple[str, str]]:
    return FENCE.findall(page.read_text(encoding="utf-8"))


def test_every_block_has_a_known_language() -> None:
    """Blocks without a language are layouts, and commands that set a machine up; .ci/run runs those."""
    for page in PAGES:
        for language, _ in blocks(page):
            assert language in RUN | {""}, f"{page.name}: {language}"


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle in ``output``, as the quick start leaves it."""
    home = tmp_path_factory.mktemp("quickstart")
    prepare_folder(home)
    command = "train.py --use-sample-data --include-timeseries --sample-scenes 40 --epochs 2"
    run([sys.executable, *command.split()], home)
    return home / "output"


def prepare_folder(home: Path) -> None:
    (home / ".venv").mkdir(exist_ok=True)
    (home / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    for name in (
        "train.py",
        "data_preparation",
        "sagemaker",
        "benchmarks",
        "configs",
        "constraints.txt",
        "pyproject.toml",
        "Makefile",
    ):
        (home / name).symlink_to(ROOT / name)


def run(command: list[str], home: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(home.parent / "cache"),
    }
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.fixture
def listed_bucket(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``my-bucket`` on a server of this machine, and ``paths.txt``, which names its pictures."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    client: Any = pytest.importorskip("boto3").client("s3")
    client.create_bucket(Bucket="my-bucket")
    keys = [f"photos/{number:04d}.jpg" for number in range(24)]
    for number, key in enumerate(keys):
        pixels = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((320, 240)).save(tmp_path / "one.jpg")
        client.upload_file(str(tmp_path / "one.jpg"), "my-bucket", key)
    (tmp_path / "paths.txt").write_text("".join(f"mydata/{key}\n" for key in keys))


@pytest.fixture
def dinov2(tmp_path: Path) -> None:
    """A small DINOv2 with random weights, as ``save_pretrained`` writes it."""
    import torch
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=56, patch_size=14
    )
    Dinov2Model(config).save_pretrained(tmp_path / "dinov2")
    BitImageProcessor(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}).save_pretrained(
        tmp_path / "dinov2"
    )


def page_cases() -> Iterator[object]:
    for page in PAGES:
        if any(language in RUN for language, _ in blocks(page)):
            yield pytest.param(page, id=page.name, marks=pytest.mark.slow)


@pytest.mark.parametrize("page", page_cases())
def test_the_page_runs(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    prepare_folder(tmp_path)
    if page.name in NEEDS_BUNDLE:
        shutil.copytree(request.getfixturevalue("bundle"), tmp_path / "output")
    if page.name in NEEDS_DATA:
        for form in ("extracted", "nuscenes", "pairs"):
            folder = "my_scenes" if form == "extracted" else f"my_{form}"
            sample = ["sample", "--format", form, "--scenes", "10", "--out", folder]
            run([sys.executable, "-m", "multimodal_search", *sample], tmp_path)
    if page.name in NEEDS_BUCKET:
        request.getfixturevalue("listed_bucket")
    if page.name.startswith("embed-"):
        request.getfixturevalue("dinov2")
    for language, code in blocks(page):
        if language == "bash":
            for line in code.replace("\\\n", " ").strip().splitlines():
                # .ci/run calls make itself; here only that the targets exist
                command = line.replace("make ", "make -n ", 1) if line.startswith("make ") else line
                if page.name.startswith("embed-"):
                    for published, here in STAND_INS.items():
                        command = command.replace(published, here)
                run(["bash", "-euc", command], tmp_path)
        elif language == "python":
            run([sys.executable, "-c", code], tmp_path)
        elif language == "yaml":
            file = tmp_path / "block.yaml"
            file.write_text(code, encoding="utf-8")
            assert isinstance(yaml.safe_load(code), dict)
        elif language == "json":
            json.loads(code)
