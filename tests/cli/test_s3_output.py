"""``--s3-output`` through the command line, against a real S3 server on loopback."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from multimodal_search.cli import main
from multimodal_search.storage import S3Options, configure_s3
from multimodal_search.storage import s3_client as clients

SMALL = ["--use-sample-data", "--sample-scenes", "4", "--epochs", "1"]


@pytest.fixture(autouse=True)
def _here(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_bundle_arrives_whole_and_its_marker_last(
    s3_client: Any,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sent: list[str] = []
    real = clients.client()

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def upload_file(self, file: str, bucket: str, key: str) -> None:
            sent.append(key)
            real.upload_file(file, bucket, key)

    monkeypatch.setattr(clients, "client", lambda attempts=1: Watched())
    assert main(["train", *SMALL, "--s3-output", f"s3://{bucket}/runs/日本 1/"]) == 0
    assert sent[-1] == "runs/日本 1/bundle.json"
    assert sent.count(sent[-1]) == 1
    assert f"s3://{bucket}/runs/日本 1/" in capsys.readouterr().out
    for name in ("bundle.json", "vector_db.json", "text_projector.pt", "vectors/manifest.json", "report.md"):
        body = s3_client.get_object(Bucket=bucket, Key=f"runs/日本 1/{name}")["Body"].read()
        assert body == (tmp_path / "output" / name).read_bytes(), name


def test_a_missing_bucket_is_found_out_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *SMALL, "--s3-output", "s3://not-there/x"]) == 2
    told = capsys.readouterr().err
    assert "'not-there' does not exist" in told
    assert "to do" in told
    assert not list((tmp_path / "output").glob("*"))


def test_without_boto3_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "boto3", None)
    configure_s3(S3Options())
    assert main(["train", *SMALL, "--s3-output", "s3://somewhere/x"]) == 2
    assert "multimodal-search[s3]" in capsys.readouterr().err
    assert not list((tmp_path / "output").glob("*"))
