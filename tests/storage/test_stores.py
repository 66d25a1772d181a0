"""Both stores keep the same promises; S3 is a real server on loopback."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from multimodal_search import storage
from multimodal_search.errors import DataError, OutputError, SettingsError
from multimodal_search.storage import LocalStore, S3Store, Store, open_store


@pytest.fixture(params=["local", "s3", "s3 bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return open_store(tmp_path / "a" / "日本 1")
    bucket = request.getfixturevalue("bucket")
    return open_store(f"s3://{bucket}" if request.param == "s3 bucket" else f"s3://{bucket}/a/日本 1/")


def test_what_is_written_is_read(store: Store) -> None:
    assert store.names() == {}
    store.write("part-2.npy", b"two")
    store.write("part-1.npy", memoryview(b"-one-")[1:4])
    store.write("manifest.json", b"")
    assert store.names() == {"manifest.json": 0, "part-1.npy": 3, "part-2.npy": 3}
    assert list(store.names("part-")) == ["part-1.npy", "part-2.npy"]
    assert store.read("part-1.npy") == b"one"
    store.write("part-1.npy", b"replaced")
    assert store.read("part-1.npy") == b"replaced"
    assert store.read("manifest.json") == b""


def test_hidden_files_and_folders_are_not_named(store: Store) -> None:
    store.write(".lock", b"x")
    store.write("deeper/part.npy", b"x")
    store.write("a", b"x")
    assert list(store.names()) == ["a"]
    assert list(store.names(".")) == []
    assert store.read(".lock") == store.read("deeper/part.npy") == b"x"


def test_removing(store: Store) -> None:
    store.write("a", b"x")
    store.write("b", b"x")
    store.remove("a")
    store.remove("a")
    assert list(store.names()) == ["b"]
    with pytest.raises(FileNotFoundError):
        store.read("a")


def test_only_one_creates(store: Store) -> None:
    won: list[int] = []

    def create(number: int) -> None:
        if store.create(".lock", f"run {number}".encode()):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(won) == 1
    assert store.read(".lock") == f"run {won[0]}".encode()
    assert not store.create(".lock", b"later")
    store.remove(".lock")
    assert store.create(".lock", b"later")


def test_pickled_stores_reach_the_same_place(store: Store) -> None:
    store.write("a", b"x")
    other = pickle.loads(pickle.dumps(store))
    assert other == store
    assert other.read("a") == b"x"


def test_many_threads(store: Store) -> None:
    def write(number: int) -> None:
        for _ in range(3):
            store.write("same", bytes([number]) * 10_000)
            store.write(f"own-{number}", bytes([number]) * 10_000)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(set(store.read("same"))) == 1
    assert len(store.names("own-")) == 8


def test_the_address_chooses() -> None:
    assert open_store("s3://b/x/") == S3Store("s3://b/x")
    assert open_store("some/folder") == LocalStore("some/folder")
    assert open_store("~/x").url == str(Path.home() / "x")
    with pytest.raises(SettingsError):
        open_store("s3://")


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = open_store(tmp_path / "file")
    for action in (lambda: store.write("a", b"x"), lambda: store.create("a", b"x")):
        with pytest.raises(OutputError, match="a folder is needed") as caught:
            action()
        assert str(tmp_path / "file") in str(caught.value)
    with pytest.raises(FileNotFoundError):
        store.read("a")
    with pytest.raises(DataError):
        store.names()
    store.remove("a")


def test_no_temporary_file_stays(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.create("a", b"x")
    store.create("a", b"y")
    store.write("b", b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_missing_bucket(s3: str) -> None:
    store = open_store("s3://not-there/x")
    actions: list[Callable[[], object]] = [
        lambda: store.write("a", b"x"),
        lambda: store.create("a", b"x"),
        lambda: store.names(),
        lambda: store.remove("a"),
    ]
    for action in actions:
        with pytest.raises(OutputError, match="'not-there' does not exist"):
            action()
    with pytest.raises(DataError, match="'not-there' does not exist"):
        store.read("a")


def test_other_prefixes_are_left_alone(bucket: str) -> None:
    one, other = open_store(f"s3://{bucket}/run"), open_store(f"s3://{bucket}/run-2")
    one.write("a", b"1")
    other.write("b", b"2")
    assert list(one.names()) == ["a"]
    assert list(other.names()) == ["b"]
    assert storage.read_bytes(f"s3://{bucket}/run/a") == b"1"
