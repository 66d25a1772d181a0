"""Outputs and bundles on S3 through the command line, against a real S3 server on loopback."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import multimodal_search
from multimodal_search import storage
from multimodal_search.cli import main
from multimodal_search.errors import BundleError
from multimodal_search.storage import S3Options, configure_s3

SMALL = ["--use-sample-data", "--sample-scenes", "4", "--epochs", "1"]
ASKED = ["--text", "a left turn", "-k", "3", "--json-output"]


@pytest.fixture(autouse=True)
def _here(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """Sixty vectors around three centres, with ids."""
    dice = np.random.default_rng(0)
    rows = np.repeat(np.eye(3, 8), 20, axis=0) + dice.normal(size=(60, 8)) * 0.05
    np.save(tmp_path / "v.npy", rows.astype(np.float32))
    (tmp_path / "v.ids.txt").write_text("".join(f"row-{number}\n" for number in range(60)))
    return tmp_path / "v.npy"


def keys(client: Any, bucket: str, prefix: str = "") -> set[str]:
    listed = client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return {one["Key"].removeprefix(prefix) for one in listed}


def another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTIMODAL_SEARCH_FEATURES_DIR", str(tmp_path / "another/features"))


def test_the_bundle_arrives_whole_and_its_marker_last(
    s3_client: Any, faulty: Any, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent: list[str] = []
    faulty.choose = lambda method, path: sent.append(path) if method == "PUT" else None
    place, flags = f"s3://{bucket}/runs/日本 1/", ["--endpoint-url", faulty.url]
    assert main(["train", *SMALL, *flags, "--s3-output", place]) == 0
    assert sent[-1].endswith("/bundle.json")
    assert sent[-2].endswith("/checksums.json")
    assert sum(path.endswith("/bundle.json") for path in sent) == 1
    assert place in capsys.readouterr().out
    for name in ("bundle.json", "vector_db.json", "text_projector.pt", "vectors/manifest.json", "report.md"):
        body = s3_client.get_object(Bucket=bucket, Key=f"runs/日本 1/{name}")["Body"].read()
        assert body == (tmp_path / "output" / name).read_bytes(), name


def test_a_bundle_trained_into_s3_and_asked_from_there(
    s3_client: Any,
    faulty: Any,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place, flags = f"s3://{bucket}/runs/1", ["--endpoint-url", faulty.url]
    assert main(["train", *SMALL, *flags, "--output-dir", place]) == 0
    assert f"search --bundle {place}" in capsys.readouterr().out
    assert not (tmp_path / "output").exists()
    assert {"bundle.json", "checksums.json", "settings.yaml"} <= keys(s3_client, bucket, "runs/1/")
    settings = s3_client.get_object(Bucket=bucket, Key="runs/1/settings.yaml")["Body"].read().decode()
    assert f"output_dir: {place}" in settings
    assert "endpoint_url" not in settings

    another_machine(tmp_path, monkeypatch)
    assert main(["search", "--bundle", place, *flags, *ASKED]) == 0
    told = capsys.readouterr().out
    assert len(told.splitlines()) == 3
    faulty.requests.clear()
    assert main(["search", "--bundle", place, *flags, *ASKED]) == 0
    assert capsys.readouterr().out == told
    assert faulty.requests == {"GET": 2}
    configure_s3(S3Options())
    assert len(multimodal_search.load(place).search(text="a left turn", k=3)) == 3

    assert main(["search", "--bundle", place, "--out", f"{place}/hits.csv", *ASKED]) == 0
    assert main(["search", "--bundle", place, "--montage", f"{place}/hits.png", *ASKED]) == 0
    assert {"hits.csv", "hits.png"} <= keys(s3_client, bucket, "runs/1/")
    hit = json.loads(told.splitlines()[0])["id"]
    assert main(["scenario", "--bundle", place, "--name", "turns", "--text", "a turn", "--up", hit]) == 0
    assert main(["evaluate", "--bundle", place, "--json-output"]) == 0
    capsys.readouterr()
    another_machine(tmp_path / "third", monkeypatch)
    assert main(["scenario", "--bundle", place]) == 0
    assert "turns: a turn (1 up, 0 down)" in capsys.readouterr().out


def test_a_second_training_finds_the_bundle_that_is_there(
    s3_client: Any,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = f"s3://{bucket}/runs/1"
    assert main(["train", *SMALL, "--output-dir", place]) == 0
    head = s3_client.get_object(Bucket=bucket, Key="runs/1/text_projector.pt")["Body"].read()
    another_machine(tmp_path, monkeypatch)
    capsys.readouterr()
    assert main(["train", *SMALL, "--output-dir", place, "--skip-training"]) == 0
    assert "(--skip-training)" in capsys.readouterr().out
    assert s3_client.get_object(Bucket=bucket, Key="runs/1/text_projector.pt")["Body"].read() == head


@pytest.mark.parametrize(
    "flags",
    [["--s3-output", "s3://not-there/x"], ["--output-dir", "s3://not-there/x"]],
    ids=["--s3-output", "--output-dir"],
)
def test_a_missing_bucket_is_found_out_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    assert main(["train", *SMALL, *flags]) == 2
    told = capsys.readouterr().err
    assert "'not-there' does not exist" in told
    assert "to do" in told
    assert not list((tmp_path / "output").glob("*"))


WRITERS: dict[str, Callable[[Path, str], list[str]]] = {
    "cluster": lambda v, out: ["--emb", str(v), "--out", out, "--min-cluster-size", "5"],
    "cluster-sweep": lambda v, out: ["--emb", str(v), "--out", out, "--num-processes", "1",
                                     "--min-cluster-sizes", "5", "--min-samples-values", "1"],
    "map": lambda v, out: ["--emb", str(v), "--out", out],
    "search-all": lambda v, out: ["--emb", str(v), "--out", out],
    "duplicates": lambda v, out: ["--emb", str(v), "--out", out],
    "sample": lambda v, out: ["--scenes", "2", "--out", out],
    "extract": lambda v, out: ["--dataroot", str(v.parent / "nuscenes"), "--output-dir", out],
    "render": lambda v, out: ["--in", str(v.parent / "meshes"), "--out", out, "--views", "2", "--size", "32"],
    "pool": lambda v, out: ["--features", str(v.parent / "views"), "--out", out],
    "specimens": lambda v, out: ["--in", str(v.parent / "meshes"), "--out", out, "--encoder", "sample/vit",
                                 "--views", "2", "--size", "32"],
}  # fmt: skip


def prepare(command: str, folder: Path) -> None:
    if command in ("render", "specimens"):
        assert main(["sample", "--format", "meshes", "--scenes", "2", "--out", str(folder / "meshes")]) == 0
    if command == "extract":
        nuscenes = str(folder / "nuscenes")
        assert main(["sample", "--format", "nuscenes", "--scenes", "2", "--out", nuscenes]) == 0
    if command == "pool":
        (folder / "views").mkdir()
        for name in "ab":
            np.save(folder / "views" / f"{name}.npy", np.ones((2, 4), np.float32))


def without_digests(names: set[str]) -> set[str]:
    """Thumbnails are named by their pictures' times."""
    return {re.sub("[0-9a-f]{16}", "*", name) for name in names}


@pytest.mark.parametrize("command", list(WRITERS))
def test_every_output_goes_to_s3_as_to_a_folder(
    command: str,
    vectors: Path,
    s3_client: Any,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepare(command, tmp_path)
    assert main([command, *WRITERS[command](vectors, str(tmp_path / "local"))]) == 0
    assert main([command, *WRITERS[command](vectors, f"s3://{bucket}/out")]) == 0
    local = {
        path.relative_to(tmp_path / "local").as_posix()
        for path in (tmp_path / "local").rglob("*")
        if path.is_file() and path.suffix != ".lock" and path.name != ".lock"
    }
    sent = keys(s3_client, bucket, "out/")
    assert without_digests(sent) == without_digests(local | {"checksums.json"})
    another_machine(tmp_path, monkeypatch)
    assert main([command, *WRITERS[command](vectors, f"s3://{bucket}/out")]) == 0  # and again, over it
    assert without_digests(keys(s3_client, bucket, "out/")) >= without_digests(sent)


@pytest.mark.parametrize("command", [*WRITERS, "train", "index", "index --backup", "search"])
@pytest.mark.parametrize("fault", ["DENIED", "EXPIRED"])
def test_what_may_not_be_written_is_said_before_anything_is_computed(
    command: str, fault: str, faulty: Any, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing else that the command would need is there, and that is not what it says."""
    kind = getattr(faulty, fault)
    faulty.choose = lambda method, path: kind if method != "GET" or fault == "EXPIRED" else None
    out = f"s3://{bucket}/out"
    arguments = {
        "train": ["train", *SMALL, "--output-dir", out],
        "index": ["index", "--emb", "none.npy", "--out", f"{out}/a.faiss"],
        "index --backup": ["index", "--emb", "none.npy", "--out", "a.faiss", "--backup", out],
        "search": ["search", "--bundle", "none", "--text", "a", "--out", f"{out}/hits.csv"],
    }.get(command) or [command, *WRITERS[command](tmp_path / "none.npy", out)]
    assert main([*arguments, "--endpoint-url", faulty.url]) == 2
    told = capsys.readouterr().err
    assert ("AccessDenied" if fault == "DENIED" else "credentials have expired") in told
    assert out in told


def test_an_index_lives_on_s3(
    vectors: Path,
    s3_client: Any,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = f"s3://{bucket}/indexes/a.faiss"
    assert main(["index", "--emb", str(vectors), "--out", out]) == 0
    assert f"files sent to s3://{bucket}/indexes" in capsys.readouterr().out
    asked = ["search", "--index", out, "--vector", "q.npy", "-k", "2", "--json-output"]
    np.save(tmp_path / "q.npy", np.load(vectors)[7])
    another_machine(tmp_path, monkeypatch)
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["id"] == "row-7"
    (tmp_path / "gone.txt").write_text("row-7\n")
    assert main(["index", "--out", out, "--delete", "gone.txt"]) == 0
    assert "1 rows deleted" in capsys.readouterr().out
    another_machine(tmp_path / "third", monkeypatch)
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["id"] != "row-7"
    plain = f"s3://{bucket}/plain.parquet"
    assert main(["index", "--emb", str(vectors), "--format", "lancedb", "--out", plain]) == 0
    assert "plain.parquet" in keys(s3_client, bucket)
    assert main(["index", "--emb", str(vectors), "--out", "s3://bucket"]) == 2
    assert "not a file" in capsys.readouterr().err


def test_a_place_that_must_be_here_refuses_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", "--emb", "v.npy", "--out", "x", "--clusters", "s3://b/clusters.csv"]) == 2
    assert "must be on this machine, not on s3" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["ERROR", "SLOW", "DROP", "CUT", "STALL"])
def test_training_into_s3_and_a_search_from_there_through_each_fault(
    fault: str,
    faulty: Any,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    faulty.stall_seconds = 0.2 if fault == "SLOW" else 0.8
    place = f"s3://{bucket}/runs/1"
    flags = ["--endpoint-url", faulty.url, "--timeout", "0.5", "--retry", "8"]
    faulty.some({getattr(faulty, fault): 0.1})
    assert main(["train", *SMALL, *flags, "--output-dir", place]) == 0
    another_machine(tmp_path, monkeypatch)
    capsys.readouterr()
    assert main(["search", "--bundle", place, *flags, *ASKED]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert faulty.faults[getattr(faulty, fault)] > 0


def test_a_server_that_goes_away_leaves_no_bundle_and_the_same_command_goes_on(
    faulty: Any, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(storage.options.S3Options, "__init__", impatient(S3Options.__init__))
    place = f"s3://{bucket}/runs/1"
    flags = ["--endpoint-url", faulty.url, "--timeout", "0.5", "--retry", "1"]
    faulty.choose = lambda method, path: (
        faulty.ERROR if method in ("PUT", "HEAD") and faulty.requests["PUT"] > 5 else None
    )
    assert main(["train", *SMALL, *flags, "--output-dir", place]) == 2
    told = capsys.readouterr().err
    assert "S3 has not answered for" in told
    assert "all that was made is in" in told
    faulty.choose = lambda method, path: None
    with pytest.raises(BundleError, match="Nothing whole"):
        multimodal_search.load(place)
    assert main(["search", "--bundle", place, *flags, *ASKED]) == 2
    assert "Nothing whole is here" in capsys.readouterr().err
    assert main(["train", *SMALL, *flags, "--output-dir", place]) == 0
    assert main(["search", "--bundle", place, *flags, *ASKED]) == 0


def impatient(original: Any) -> Any:
    def init(self: Any, **options: Any) -> None:
        original(self, **{**options, "outage_seconds": 0.5})

    return init


@pytest.mark.slow
def test_a_training_that_is_killed_while_it_sends(
    faulty: Any, s3_client: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 of the whole command at random moments of its upload, over a bundle that was there."""
    place, dice = f"s3://{bucket}/runs/1", random.Random(3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", faulty.url)
    configure_s3(S3Options())
    assert main(["train", *SMALL, "--output-dir", place]) == 0
    faulty.stall_seconds, not_whole = 0.1, 0
    for number in range(4):
        faulty.requests.clear()
        last = dice.randrange(1, 12)
        child = subprocess.Popen(
            [sys.executable, "-m", "multimodal_search", "train", *SMALL, "--seed", str(number + 1),
             "--output-dir", place],
            env={**os.environ, "PYTHONPATH": str(Path(multimodal_search.__file__).parents[1])},
            stdout=subprocess.DEVNULL,
        )  # fmt: skip

        def choose(method: str, path: str, last: int = last, child: Any = child) -> str | None:
            if faulty.requests["PUT"] >= last:
                child.send_signal(signal.SIGKILL)
            return faulty.SLOW if method == "PUT" else None

        faulty.choose = choose
        assert child.wait(120) == -signal.SIGKILL
        faulty.choose = lambda method, path: None
        another_machine(tmp_path / f"look-{number}", monkeypatch)
        if "bundle.json" in keys(s3_client, bucket, "runs/1/"):
            assert len(multimodal_search.load(place).search(text="a left turn", k=3)) == 3
        else:
            with pytest.raises(BundleError, match="Nothing whole is here"):
                multimodal_search.load(place)
            not_whole += 1
        monkeypatch.setenv("MULTIMODAL_SEARCH_FEATURES_DIR", str(tmp_path / "first/features"))
    assert not_whole
    assert main(["train", *SMALL, "--output-dir", place]) == 0
    assert len(multimodal_search.load(place).search(text="a left turn", k=3)) == 3


def test_without_boto3_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    configure_s3(S3Options())
    assert main(["train", *SMALL, "--s3-output", "s3://somewhere/x"]) == 2
    assert "multimodal-search[s3]" in capsys.readouterr().err
    assert not list((tmp_path / "output").glob("*"))
