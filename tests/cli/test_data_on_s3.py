"""``--data-dir``, ``--pairs``, ``--features``, ``--image`` and ``--series`` on S3, through the commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import multimodal_search
from multimodal_search import storage
from multimodal_search.cli import main

FLAGS = ["--image-encoder", "sample/vit", "--text-encoder", "sample/text", "--epochs", "2"]
HEADS = ("text_projector.pt", "image_projector.pt", "timeseries_projector.pt")
SAME = (*HEADS, "metrics.json", "vector_db.json", "scenes_with_umap.json")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An extracted folder of thirty scenes, its own: into others' other tests may write."""
    folder = tmp_path_factory.mktemp("drives")
    assert main(["sample", "--scenes", "30", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def local(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of that folder as it lies on a disk."""
    folder = tmp_path_factory.mktemp("local")
    features = ["--features-dir", str(folder / "features")]
    flags = ["--data-dir", str(world), "--include-timeseries", *FLAGS, *features]
    assert main(["train", *flags, "--output-dir", str(folder / "bundle")]) == 0
    return folder / "bundle"


@pytest.fixture
def url(world: Path, s3_client: Any, bucket: str) -> str:
    """The same folder on S3."""
    for path in world.rglob("*"):
        if path.is_file():
            key = f"drives/{path.relative_to(world).as_posix()}"
            s3_client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    return f"s3://{bucket}/drives"


@pytest.fixture
def asked(faulty: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of S3 so far, as METHOD /path."""
    seen: list[str] = []

    def choose(method: str, path: str) -> None:
        seen.append(f"{method} {path.partition('?')[0]}")

    faulty.choose = choose
    monkeypatch.setenv("AWS_ENDPOINT_URL", faulty.url)
    return seen


def train(url: str, output: Path, *more: str) -> int:
    flags = ["--data-dir", url, "--include-timeseries", *FLAGS]
    return main(["train", *flags, "--output-dir", str(output), *more])


def printed_json(capsys: pytest.CaptureFixture[str]) -> Any:
    """What was printed; a former command's log lines in this process come before it."""
    printed = capsys.readouterr().out
    return json.loads(printed[printed.index("{\n") :])


def of(asked: list[str], folder: str) -> list[str]:
    return [one for one in asked if f"/{folder}/" in one]


def test_the_same_bundle_as_from_a_disk_and_nothing_encoded_twice(
    url: str, local: Path, asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(url, tmp_path / "first") == 0
    for name in SAME:
        assert (tmp_path / "first" / name).read_bytes() == (local / name).read_bytes(), name
    info = json.loads((tmp_path / "first/bundle.json").read_text())
    assert info["data"]["root"] == url
    assert len(of(asked, "images")) == len(set(of(asked, "images"))) > 0

    asked.clear()
    assert train(url, tmp_path / "second") == 0
    assert of(asked, "images") == []
    for name in SAME:
        assert (tmp_path / "second" / name).read_bytes() == (local / name).read_bytes(), name

    capsys.readouterr()
    figures = []
    for bundle in (tmp_path / "first", local):
        assert main(["evaluate", "--bundle", str(bundle), "--json-output"]) == 0
        figures.append(printed_json(capsys))
    assert figures[0] == figures[1]
    assert of(asked, "images") == []


def test_searching_a_bundle_of_data_on_s3(
    url: str, local: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(local, bundle)
    info = json.loads((bundle / "bundle.json").read_text())
    near = Path(info["data"]["root"])
    info["data"]["root"] = url
    (bundle / "bundle.json").write_text(json.dumps(info))
    searcher = multimodal_search.load(bundle)
    hit = searcher.search(text="rain", k=1)[0]
    assert searcher.image_file(hit) == f"{url}/{hit.image_path}"
    signal = searcher.series(hit)
    assert signal is not None

    told = {}
    for root in (url, str(near)):
        for flag, path in (("--image", hit.image_path), ("--series", hit.series_path)):
            query = ["search", "--bundle", str(bundle), flag, f"{root}/{path}", "--json-output"]
            assert main(query) == 0
            told[root, flag] = capsys.readouterr().out
    for flag in ("--image", "--series"):
        assert told[url, flag] == told[str(near), flag]
    assert main(["search", "--bundle", str(bundle), "--series", f"{url}/none.npy"]) == 2
    assert "series missing" in capsys.readouterr().err
    sheet = tmp_path / "sheet.png"
    assert main(["search", "--bundle", str(bundle), "--text", "rain", "--montage", str(sheet)]) == 0
    assert sheet.stat().st_size > 10_000


def test_a_stumbling_s3_changes_nothing(
    url: str, local: Path, faulty: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", faulty.url)
    faulty.some({faulty.ERROR: 0.04, faulty.DROP: 0.04, faulty.CUT: 0.04, faulty.SLOW: 0.04})
    assert train(url, tmp_path / "bundle") == 0
    assert sum(faulty.faults.values()) > 10
    for name in SAME:
        assert (tmp_path / "bundle" / name).read_bytes() == (local / name).read_bytes(), name


def test_a_table_on_s3_serves_training_and_measuring(
    url: str, bucket: str, asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """embed --data-dir s3:// --out s3://, then train and evaluate --features s3://."""
    table = f"s3://{bucket}/tables/image"
    embed = ["embed", "--data-dir", url, "--encoder", "sample/vit", "--out", table, "--dtype", "float32"]
    assert main([*embed, "--engine", "local"]) == 0
    asked.clear()
    flags = ["--data-dir", url, "--features", table, "--text-encoder", "sample/text", "--epochs", "2"]
    assert main(["train", *flags, "--output-dir", str(tmp_path / "bundle")]) == 0
    capsys.readouterr()
    assert main(["evaluate", "--bundle", str(tmp_path / "bundle"), "--json-output"]) == 0
    measured = printed_json(capsys)
    known = json.loads((tmp_path / "bundle/metrics.json").read_text())
    assert measured["directions"] == known["directions"]
    assert of(asked, "images") == of(asked, "timeseries") == []


def test_pairs_on_s3(url: str, world: Path, s3_client: Any, bucket: str, tmp_path: Path) -> None:
    records = json.loads((world / "scenes_metadata.json").read_text(encoding="utf-8"))
    lines = [
        json.dumps({"image": one["image_path"], "caption": one["description"][0], "log": str(number % 10)})
        for number, one in enumerate(records)
    ]
    for place, root in ((tmp_path / "disk", None), (tmp_path / "s3", url)):
        if root is None:
            shutil.copytree(world, place)
            (place / "pairs.jsonl").write_text("\n".join(lines), encoding="utf-8")
            file = str(place / "pairs.jsonl")
        else:
            s3_client.put_object(Bucket=bucket, Key="drives/pairs.jsonl", Body="\n".join(lines).encode())
            file = f"{url}/pairs.jsonl"
        assert main(["train", "--pairs", file, *FLAGS, "--output-dir", f"{place}-bundle"]) == 0
    for name in SAME:
        if "timeseries" not in name:
            near, far = (tmp_path / f"{place}-bundle" / name for place in ("disk", "s3"))
            assert near.read_bytes() == far.read_bytes(), name
    assert main(["evaluate", "--bundle", str(tmp_path / "s3-bundle")]) == 0


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3://not-there/x", "'not-there' does not exist"),
        ("s3://{bucket}/nothing", "Nothing is stored below s3://"),
        ("s3://", "is not an S3 address"),
    ],
)
def test_a_place_that_is_not_there(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str, said: str
) -> None:
    assert train(place.format(bucket=bucket), tmp_path / "bundle") == 2
    told = capsys.readouterr().err
    assert said in told
    assert "to do:" in told
    assert not (tmp_path / "bundle/bundle.json").exists()


def refuse(faulty: Any, monkeypatch: pytest.MonkeyPatch, fault: str, *ends: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", faulty.url)
    faulty.choose = lambda method, path: fault if path.partition("?")[0].endswith(ends) else None


def test_one_refused_object_is_listed_and_the_bundle_is_made(
    url: str, world: Path, faulty: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = json.loads((world / "scenes_metadata.json").read_text(encoding="utf-8"))[3]["image_path"]
    refuse(faulty, monkeypatch, faulty.DENIED, picture)
    assert train(url, tmp_path / "bundle") == 0
    listed = [json.loads(line) for line in (tmp_path / "bundle/failures.jsonl").read_text().splitlines()]
    assert [(one["path"], one["reason"]) for one in listed] == [
        (picture, "S3 refuses the object (AccessDenied)")
    ]


def test_what_ends_a_run_says_what_to_do(
    url: str,
    local: Path,
    bucket: str,
    faulty: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for fault, ends, said in (
        (faulty.DENIED, "scenes_metadata.json", "S3 refuses the request (AccessDenied)"),
        (faulty.DENIED, f"/{bucket}", "allow s3:ListBucket"),
        (faulty.EXPIRED, ".jpg", "(ExpiredToken)"),
    ):
        refuse(faulty, monkeypatch, fault, ends)
        assert train(url, tmp_path / "bundle") == 2
        told = capsys.readouterr().err
        assert said in told
        assert f"s3://{bucket}" in told
        assert not (tmp_path / "bundle/bundle.json").exists()
    refuse(faulty, monkeypatch, faulty.DENIED, "nothing of this name")
    assert train(url, tmp_path / "bundle") == 0  # the same command, once it may
    for name in SAME:
        assert (tmp_path / "bundle" / name).read_bytes() == (local / name).read_bytes(), name


def test_without_credentials(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    storage.configure_s3(storage.S3Options())
    assert train(url, tmp_path / "bundle") == 2
    assert "No AWS credentials were found" in capsys.readouterr().err


def test_nothing_of_it_on_a_disk(local: Path, bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Data, bundle and measuring, all on S3."""
    data, bundle = f"s3://{bucket}/drives", f"s3://{bucket}/runs/1"
    assert main(["sample", "--scenes", "30", "--out", data]) == 0
    flags = ["--data-dir", data, "--include-timeseries", *FLAGS, "--output-dir", bundle]
    assert main(["train", *flags]) == 0
    for name in SAME:
        assert storage.read_bytes(f"{bundle}/{name}") == (local / name).read_bytes(), name
    figures = []
    for place in (bundle, str(local)):
        capsys.readouterr()
        assert main(["evaluate", "--bundle", place, "--json-output"]) == 0
        figures.append(printed_json(capsys))
    assert figures[0] == figures[1]
