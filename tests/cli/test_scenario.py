"""``multimodal-search scenario`` and ``search --montage`` on a real bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from multimodal_search.cli import main


@pytest.fixture
def bundle(home: Path, tmp_path: Path) -> Path:
    """A copy, since scenarios are kept in the bundle."""
    return Path(shutil.copytree(home / "output", tmp_path / "output"))


def hits(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main([str(word) for word in argv]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


@pytest.mark.slow
def test_a_scenario_is_made_judged_listed_asked_again_and_removed(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ("scenario", "--bundle", bundle, "--json-output")
    first = hits(capsys, *ask, "--name", "wet left", "--text", "turn left in the rain", "-k", "8")
    plain = hits(
        capsys, "search", "--bundle", bundle, "--text", "turn left in the rain", "-k", "8", "--json-output"
    )
    assert [one["id"] for one in first] == [one["id"] for one in plain]

    last = first[-1]["id"]
    judged = hits(capsys, *ask, "--name", "wet left", "--up", last, "--down", first[0]["id"], "-k", "8")
    place = [one["id"] for one in judged]
    assert place.index(last) < 7
    again = hits(capsys, *ask, "--name", "wet left", "-k", "8")
    assert again == judged
    listed = hits(capsys, *ask)
    assert [(one["name"], one["up"], one["down"]) for one in listed] == [
        ("wet left", [last], [first[0]["id"]])
    ]
    both = ("--withdraw", last, "--withdraw", first[0]["id"])
    assert hits(capsys, *ask, "--name", "wet left", *both, "-k", "8") == first
    assert main(["scenario", "--bundle", str(bundle), "--name", "wet left", "--delete"]) == 0
    assert hits(capsys, *ask) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--name", "new"], ["no scenario 'new'"]),
        (["--up", "x"], ["Which scenario", "--name"]),
        (["--name", "new", "--down", "x"], ["neither a query nor a vote up"]),
        (["--name", "new", "--up", "nobody-knows"], ["nobody-knows"]),
        (["--name", "new", "--text", "rain", "--where", "speed >"], ["^"]),
        (["--name", "new", "--up", "a", "--down", "a"], ["up and down"]),
        (["--name", "new", "--up", "a", "--withdraw", "a"], ["taken back"]),
    ],
)
def test_mistakes_are_explained(
    bundle: Path, argv: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scenario", "--bundle", str(bundle), *argv]) == 2
    said = capsys.readouterr().err
    for word in words:
        assert word in said


@pytest.mark.slow
def test_hits_are_drawn_with_their_pictures_and_signals(bundle: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "hits.png"
    argv = ["search", "--bundle", str(bundle), "--text", "truck ahead", "-k", "6", "--montage", str(sheet)]
    assert main(argv) == 0
    picture = Image.open(sheet).convert("RGB")
    assert picture.width > 1200
    accent = sum(1 for pixel in picture.getdata() if pixel == (37, 99, 235))
    assert accent > 500  # the signals' lines
