"""Prefixes on S3 as folders in the user's cache: compared, only what changed, whole or absent."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from multimodal_search import storage
from multimodal_search.errors import BundleError, DataError
from multimodal_search.storage.checksums import FileSum, Sums, parse_sums, sum_of
from tests.storage.conftest import FILES, fill

MARKER = "bundle.json"


@pytest.fixture
def url(folder: Path, s3: str, bucket: str) -> str:
    """Holds a copy of the folder."""
    storage.send_folder(folder, f"s3://{bucket}/runs/1", MARKER)
    return f"s3://{bucket}/runs/1"


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_it_is_fetched_once_and_then_what_changed(folder: Path, faulty: Any, url: str) -> None:
    fetched = storage.fetch_folder(url, MARKER)
    assert content(fetched) == FILES
    faulty.requests.clear()
    assert storage.fetch_folder(url + "/", MARKER) == fetched
    assert faulty.requests == {"GET": 2}  # the checksums and the marker

    (folder / "empty").unlink()
    fill(folder, {"zz.txt": b"y", "bundle.json": b'{"a": 2}'})
    fill(fetched, {"scenarios/mine.json": b"{}"})  # what somebody made there stays
    storage.send_folder(folder, url, MARKER)
    faulty.requests.clear()
    storage.fetch_folder(url, MARKER)
    assert faulty.requests == {"GET": 3}
    assert content(fetched) == {**content(folder), "scenarios/mine.json": b"{}"}


def test_a_file_that_is_gone_or_cut_here_comes_again(url: str) -> None:
    fetched = storage.fetch_folder(url, MARKER)
    (fetched / "zz.txt").unlink()
    (fetched / "vectors/part-1.npy").write_bytes(b"cut")
    assert content(storage.fetch_folder(url, MARKER)) == FILES


def test_what_another_program_copied_there_is_compared_with_the_listing(
    folder: Path, faulty: Any, s3_client: Any, bucket: str
) -> None:
    for name, one in FILES.items():
        s3_client.put_object(Bucket=bucket, Key=name, Body=one)
    s3_client.put_object(Bucket=bucket, Key="vectors/", Body=b"")  # a console's folder
    fetched = storage.fetch_folder(f"s3://{bucket}", MARKER)
    assert content(fetched) == FILES
    s3_client.put_object(Bucket=bucket, Key="zz.txt", Body=b"y")
    faulty.requests.clear()
    storage.fetch_folder(f"s3://{bucket}", MARKER)
    assert (fetched / "zz.txt").read_bytes() == b"y"
    assert faulty.requests == {"GET": 4}  # no checksums, the marker, the listing, what changed


def test_nothing_and_nothing_whole(s3_client: Any, url: str, bucket: str) -> None:
    with pytest.raises(BundleError, match="There is nothing here"):
        storage.fetch_folder(f"s3://{bucket}/runs/2", MARKER)
    with pytest.raises(DataError, match="does not exist"):
        storage.fetch_folder("s3://not-there/x", MARKER)
    s3_client.put_object(Bucket=bucket, Key="runs/1/bundle.json", Body=b"{}")
    with pytest.raises(BundleError, match=r"not the one that checksums\.json lists"):
        storage.fetch_folder(url, MARKER)
    s3_client.delete_object(Bucket=bucket, Key="runs/1/bundle.json")
    with pytest.raises(BundleError, match=r"there is no bundle\.json") as caught:
        storage.fetch_folder(url, MARKER)
    assert "wait, or send them again" in str(caught.value)
    s3_client.put_object(Bucket=bucket, Key="runs/1/checksums.json", Body=b"{}")
    with pytest.raises(BundleError, match=r"checksums\.json cannot be read"):
        storage.fetch_folder(url, MARKER)


@pytest.mark.parametrize("spoiled", [b"\x94" * 5000, b"short", None])
def test_what_is_not_what_was_sent_is_refused(
    s3_client: Any, url: str, bucket: str, spoiled: bytes | None
) -> None:
    if spoiled is None:
        s3_client.delete_object(Bucket=bucket, Key="runs/1/vectors/part-1.npy")
    else:
        s3_client.put_object(Bucket=bucket, Key="runs/1/vectors/part-1.npy", Body=spoiled)
    with pytest.raises(BundleError, match=r"damaged: vectors/part-1\.npy") as caught:
        storage.fetch_folder(url, MARKER)
    assert url in str(caught.value)
    assert not (storage.local_folder(url, "copies") / MARKER).exists()


@pytest.mark.parametrize("large", [False, True])
def test_what_is_replaced_meanwhile_is_refused(
    folder: Path, faulty: Any, url: str, bucket: str, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:
        monkeypatch.setattr(storage.s3_file, "_FETCHED_BYTES", 1000)
    replaced: list[str] = []

    def choose(method: str, path: str) -> None:
        if path.endswith("part-1.npy") and method == "GET" and not replaced:
            replaced.append(path)
            fill(folder, {"vectors/part-1.npy": b"\x95" * 5000, "zz.txt": b"y"})
            storage.send_folder(folder, url, MARKER)

    faulty.choose = choose
    fetched = storage.local_folder(url, "copies")
    with pytest.raises(BundleError, match="was replaced while it was fetched"):
        storage.fetch_folder(url, MARKER)
    assert not (fetched / MARKER).exists()
    assert content(storage.fetch_folder(url, MARKER)) == content(folder)


def test_no_name_leads_out_of_the_cache(s3_client: Any, url: str, bucket: str) -> None:
    for name in ("../out", "/etc/out", "a/../../out"):
        body = s3_client.get_object(Bucket=bucket, Key="runs/1/checksums.json")["Body"].read()
        sums = parse_sums(body, "")
        bad = Sums({**sums.files, name: FileSum(1, "00")})
        s3_client.put_object(Bucket=bucket, Key="runs/1/checksums.json", Body=bad.to_bytes())
        with pytest.raises(BundleError, match="no name of a file"):
            storage.fetch_folder(url, MARKER)
        s3_client.put_object(Bucket=bucket, Key="runs/1/checksums.json", Body=body)


FETCHER = """
import sys
from multimodal_search import storage
print("begun", flush=True)
storage.fetch_folder(sys.argv[1], "bundle.json")
"""


def test_killed_at_any_moment_the_copy_here_is_whole_or_absent(
    tmp_path: Path, faulty: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 while each version is fetched over the one before, through a server that takes its time."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", faulty.url)
    monkeypatch.setenv("MULTIMODAL_SEARCH_FEATURES_DIR", str(tmp_path / "cache/features"))
    faulty.stall_seconds = 0.05
    dice, url, folder = random.Random(8), f"s3://{bucket}/a", tmp_path / "folder"
    fetched, cut, before = storage.local_folder(url, "copies"), 0, None
    for version in range(10):
        faulty.choose = lambda method, path: None
        fill(folder, {f"part-{one:02d}": bytes([version * (one % 4)]) * 9000 for one in range(16)})
        fill(folder, {MARKER: str(version).encode()})
        storage.send_folder(folder, url, MARKER)
        faulty.choose = lambda method, path: faulty.SLOW
        child = subprocess.Popen(
            [sys.executable, "-c", FETCHER, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        child.stdout.readline()
        try:
            child.wait(dice.uniform(0.2, 0.7))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
        child.communicate()
        now = {path.name: sum_of(path) for path in folder.iterdir()}
        if (fetched / MARKER).exists():
            found = {path.name: sum_of(path) for path in fetched.iterdir()}
            assert found in (now, before)
            before = found
        else:
            cut += 1
    assert cut > 2
    faulty.choose = lambda method, path: None
    assert content(storage.fetch_folder(url, MARKER)) == content(folder)
