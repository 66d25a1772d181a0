"""A path list over instances: every line once, each instance into its own place."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimodal_search.errors import DataError, SettingsError

SCRIPT = Path(__file__).parents[2] / "sagemaker" / "embed_job.py"


@pytest.fixture
def job(scripts: Any) -> Any:
    return scripts("embed_job")


@functools.cache
def share() -> Callable[[int, int, int], tuple[int, int]]:
    """The job's own, loaded by its place."""
    spec = importlib.util.spec_from_file_location("embed_job", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[int, int, int], tuple[int, int]] = module.share
    return found


@given(lines=st.integers(0, 10**11), count=st.integers(1, 300))
def test_shares_follow_each_other(lines: int, count: int) -> None:
    ends = [share()(lines, rank, count) for rank in range(count)]
    assert ends[0][0] == 0
    assert ends[-1][1] == lines
    assert all(one[1] == two[0] for one, two in itertools.pairwise(ends))
    sizes = [end - start for start, end in ends]
    assert max(sizes) - min(sizes) <= 1


def flags_of(job: Any, folder: Path, host: str, hosts: list[str]) -> list[str]:
    environment = {"SM_HOSTS": json.dumps(hosts), "SM_CURRENT_HOST": host, "SM_CHANNEL_PATHS": str(folder)}
    flags: list[str] = job.arguments(["--encoder", "x", "--out", "s3://b/features/"], environment)
    return flags


@pytest.mark.parametrize("end", ["", "\n"])
def test_twelve_instances_take_every_line_once(job: Any, tmp_path: Path, end: str) -> None:
    (tmp_path / "paths.txt").write_text("\n".join(f"{n}.jpg" for n in range(1000)) + end)
    hosts = [f"algo-{n}" for n in range(1, 13)]  # sorted by number: algo-10 is not the second
    taken: list[int] = []
    places = []
    for host in hosts:
        flags = flags_of(job, tmp_path, host, hosts)
        values = dict(zip(flags[::2], flags[1::2], strict=True))
        taken += range(int(values["--start-line"]), int(values["--end-line"]))
        places.append(values["--out"])
    assert taken == list(range(1000))
    assert places[1] == "s3://b/features/part-0001-of-0012"
    assert len(set(places)) == 12


def test_one_instance_writes_where_it_was_told(job: Any, tmp_path: Path) -> None:
    (tmp_path / "paths.txt").write_text("a.jpg\n")
    flags = flags_of(job, tmp_path, "algo-1", ["algo-1"])
    assert flags[flags.index("--out") + 1] == "s3://b/features/"


def test_more_instances_than_lines(job: Any, tmp_path: Path) -> None:
    (tmp_path / "paths.txt").write_text("a.jpg\n")
    with pytest.raises(DataError, match="fewer lines"):
        flags_of(job, tmp_path, "algo-1", ["algo-1", "algo-2"])
    (tmp_path / "second.txt").write_text("b.jpg\n")
    with pytest.raises(DataError, match="2 files"):
        flags_of(job, tmp_path, "algo-1", ["algo-1"])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--out", "s3://b/f"], "no inputs"),
        (["--out", "features", "--path-file", "s3://b/p.txt"], "no place on S3"),
        (["--out", "s3://b/f", "--image-dir", "s3://b/photos", "--instance-count", "2"], "Only a path list"),
        (["--out", "s3://b/f", "--image-dir", "/my/photos"], "does not see files of this machine"),
    ],
)
def test_what_cannot_run(argv: list[str], said: str, scripts: Any) -> None:
    program = scripts("embed")
    flags, rest = program._parser().parse_known_args(["--role", "R", *argv])
    with pytest.raises(SettingsError) as error:
        program.specification(flags, rest)
    assert said in str(error.value)


@pytest.mark.parametrize("flag", ["--image-dir", "--data-dir", "--pairs", "--text-file"])
def test_every_kind_of_input_on_s3_is_one(flag: str, scripts: Any) -> None:
    program = scripts("embed")
    flags, rest = program._parser().parse_known_args(
        ["--role", "R", "--out", "s3://my-bucket/f", flag, "s3://my-bucket/x.csv"]
    )
    job, _ = program.specification(flags, rest)
    assert job.program.hyperparameters[flag.removeprefix("--")] == "s3://my-bucket/x.csv"
