"""Output on S3: a folder here that is sent, goes on after a kill, and begins with what is there."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from multimodal_search import storage
from multimodal_search.errors import OutputError
from multimodal_search.storage import S3Options, configure_s3


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Moves to another machine: another cache."""
    return lambda: monkeypatch.setenv("MULTIMODAL_SEARCH_FEATURES_DIR", str(tmp_path / "b/features"))


def keys(client: Any, bucket: str) -> set[str]:
    return {one["Key"] for one in client.list_objects_v2(Bucket=bucket).get("Contents", [])}


def run(url: str, **files: str) -> dict[str, str]:
    """What a command finds that writes these files, and their summary last."""
    with storage.output_folder(url, "summary") as folder:
        found = {path.name: path.read_text() for path in folder.iterdir()}
        for name, text in files.items():
            (folder / name).write_text(text)
        (folder / "summary").write_text("done")
    return found


def fail(url: str, **files: str) -> dict[str, str]:
    """What a command finds that ends half-way."""
    found: dict[str, str] = {}
    with contextlib.suppress(RuntimeError), storage.output_folder(url, "summary") as folder:
        found = {path.name: path.read_text() for path in folder.iterdir()}
        for name, text in files.items():
            (folder / name).write_text(text)
        raise RuntimeError
    return found


def test_a_local_place_is_itself(tmp_path: Path) -> None:
    with storage.output_folder(tmp_path / "new") as folder:
        assert folder == tmp_path / "new"
        assert not folder.exists()
    with storage.output_file(tmp_path / "new.csv") as path:
        assert path == tmp_path / "new.csv"


def test_the_next_run_finds_what_is_there_also_elsewhere(s3_client: Any, bucket: str, elsewhere: Any) -> None:
    url = f"s3://{bucket}/out"
    assert run(url, a="1") == {}
    assert keys(s3_client, bucket) == {"out/a", "out/summary", "out/checksums.json"}
    assert run(url, b="2") == {"a": "1", "summary": "done"}
    elsewhere()
    assert run(url, a="3") == {"a": "1", "b": "2", "summary": "done"}


def test_a_newer_copy_from_elsewhere_wins_over_what_is_here(bucket: str, s3: str, elsewhere: Any) -> None:
    url = f"s3://{bucket}/out"
    run(url, a="1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MULTIMODAL_SEARCH_FEATURES_DIR", f"{storage.local_folder(url, 'x')}/features")
        run(url, a="2")
    assert run(url) == {"a": "2", "summary": "done"}


def test_a_run_that_fails_sends_nothing_and_goes_on(s3_client: Any, bucket: str) -> None:
    url = f"s3://{bucket}/out"
    assert fail(url, half="x") == {}
    assert fail(url, half="x") == {"half": "x"}
    assert keys(s3_client, bucket) == set()
    assert run(url) == {"half": "x"}


def test_what_a_killed_run_added_is_not_undone(bucket: str, s3: str) -> None:
    url = f"s3://{bucket}/out"
    run(url, a="1")
    fail(url, a="newer")
    assert run(url) == {"a": "newer", "summary": "done"}


def test_what_was_removed_on_s3_begins_anew(s3_client: Any, bucket: str) -> None:
    url = f"s3://{bucket}/out"
    run(url, a="1")
    for key in keys(s3_client, bucket):
        s3_client.delete_object(Bucket=bucket, Key=key)
    assert run(url) == {}


def test_nothing_is_begun_where_nothing_may_be_written(faulty: Any, bucket: str) -> None:
    faulty.choose = lambda method, path: faulty.DENIED if method in ("POST", "PUT") else None
    for place in (storage.output_folder(f"s3://{bucket}/out"), storage.output_file(f"s3://{bucket}/x.csv")):
        with pytest.raises(OutputError, match="AccessDenied"):
            place.__enter__()
    with pytest.raises(OutputError, match="'not-there' does not exist"):
        storage.output_folder("s3://not-there/out").__enter__()


def test_who_may_only_write_writes(faulty: Any, s3_client: Any, bucket: str) -> None:
    faulty.choose = lambda method, path: faulty.DENIED if method in ("GET", "DELETE") else None
    run(f"s3://{bucket}/out", a="1")
    assert keys(s3_client, bucket) == {"out/a", "out/summary", "out/checksums.json"}


def test_what_could_not_be_sent_is_kept_and_named(faulty: Any, bucket: str) -> None:
    url = f"s3://{bucket}/out"
    configure_s3(S3Options(endpoint_url=faulty.url, timeout_seconds=0.5, retries=1, outage_seconds=0.3))
    place = storage.output_folder(url)
    folder = place.__enter__()
    (folder / "a").write_text("1")
    faulty.choose = lambda method, path: faulty.ERROR
    with pytest.raises(OutputError, match="has not answered") as caught:
        place.__exit__(None, None, None)
    assert f"all that was made is in {folder}" in str(caught.value)
    faulty.choose = lambda method, path: None
    assert run(url) == {"a": "1"}


def test_a_file(s3_client: Any, bucket: str) -> None:
    with storage.output_file(f"s3://{bucket}/hits/a.csv") as path:
        assert path.name == "a.csv"
        path.write_text("id\n")
    assert s3_client.get_object(Bucket=bucket, Key="hits/a.csv")["Body"].read() == b"id\n"
    with pytest.raises(OutputError, match="not a file"):
        storage.output_file(f"s3://{bucket}").__enter__()


def test_a_folder_that_must_be_local_is_not_made_of_an_address() -> None:
    for place in ("s3://bucket/x", Path("s3://bucket/x")):
        with pytest.raises(OutputError, match="on this machine"):
            storage.ensure_writable_folder(place)
