"""Files are whole or absent, and a failed write says what to do."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from multimodal_search import storage
from multimodal_search.errors import OutputError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_bytes_and_text(tmp_path: Path) -> None:
    with storage.write_atomically(tmp_path / "a.bin") as file:
        file.write(b"\x00\x01")
    with storage.write_atomically(tmp_path / "雨 sonne.txt", "w") as text:
        text.write("雨\nregen\n")
    assert (tmp_path / "a.bin").read_bytes() == b"\x00\x01"
    assert (tmp_path / "雨 sonne.txt").read_bytes() == "雨\nregen\n".encode()
    assert names(tmp_path) == ["a.bin", "雨 sonne.txt"]


def test_name_appears_only_when_whole_and_an_error_keeps_the_former_file(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_text("former")

    def fail_halfway() -> None:
        with storage.write_atomically(target, "w") as file:
            file.write("half")
            file.flush()
            assert target.read_text() == "former"
            raise KeyError

    with pytest.raises(KeyError):
        fail_halfway()
    assert target.read_text() == "former"
    assert names(tmp_path) == ["out.json"]


def test_longest_file_name_still_fits(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 250 + ".json")
    with storage.write_atomically(target) as file:
        file.write(b"1")
    assert target.read_bytes() == b"1"


def test_file_mode_follows_the_umask(tmp_path: Path) -> None:
    former = os.umask(0o022)
    try:
        with storage.write_atomically(tmp_path / "a") as file:
            file.write(b"1")
    finally:
        os.umask(former)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_says_so_and_leaves_nothing(tmp_path: Path, code: int) -> None:
    with pytest.raises(OutputError, match="disk is full") as caught, storage.write_atomically(tmp_path / "a"):
        raise OSError(code, os.strerror(code))
    assert str(tmp_path / "a") in str(caught.value)
    assert "free some space" in str(caught.value)
    assert names(tmp_path) == []


def test_really_full_disk(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    if not shutil.which("mount"):
        pytest.skip("no mount command here")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(mount)], capture_output=True
    )
    if made.returncode:
        pytest.skip("mounting a small file system is not permitted here")
    try:
        with storage.write_atomically(mount / "kept") as file:
            file.write(b"kept")
        with (
            pytest.raises(OutputError, match="disk is full"),
            storage.write_atomically(mount / "big") as file,
        ):
            file.write(b"0" * 1_000_000)
        assert names(mount) == ["kept"]
        (mount / "filler").write_bytes(b"0" * (os.statvfs(mount).f_bavail * 4096))
        with pytest.raises(OutputError, match="disk is full"):
            storage.ensure_writable_folder(mount)
        # a small write fits Python's buffer and fails only when that is flushed at the end
        with (
            pytest.raises(OutputError, match="disk is full"),
            storage.write_atomically(mount / "few") as file,
        ):
            file.write(b"0" * 100)
        assert names(mount) == ["filler", "kept"]
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def test_file_size_limit_of_the_process(tmp_path: Path) -> None:
    program = (
        "import resource, sys, pathlib\n"
        "from multimodal_search import storage\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "with storage.write_atomically(pathlib.Path(sys.argv[1]) / 'a') as file:\n"
        "    file.write(b'0' * 1_000_000)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert "OutputError: The disk is full or the quota is used up" in done.stderr
    assert names(tmp_path) == []


def test_absent_or_forbidden_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="to do"), storage.write_atomically(tmp_path / "no" / "a"):
        pass
    with pytest.raises(OutputError), storage.write_atomically(Path("/proc/nothing.json")):
        pass


def test_ensure_writable_folder(tmp_path: Path) -> None:
    folder = storage.ensure_writable_folder(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert names(folder) == []
    (tmp_path / "file").write_text("in the way")
    for target in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="A file is where a folder is needed") as caught:
            storage.ensure_writable_folder(target)
        assert str(target) in str(caught.value)
    assert (tmp_path / "file").read_text() == "in the way"
    with pytest.raises(OutputError, match="proc"):
        storage.ensure_writable_folder("/proc/multimodal_search")


@pytest.mark.skipif(os.geteuid() == 0, reason="permission bits do not bind root")
def test_folder_without_write_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="not permitted"):
        storage.ensure_writable_folder(tmp_path)


def test_kill_leaves_only_a_leftover_that_is_cleaned(tmp_path: Path) -> None:
    program = (
        "import os, sys, pathlib\n"
        "from multimodal_search import storage\n"
        "with storage.write_atomically(pathlib.Path(sys.argv[1]) / 'a') as file:\n"
        "    file.write(b'0' * 100_000); file.flush(); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True)
    assert done.returncode == -9
    assert len(names(tmp_path)) == 1
    assert names(tmp_path) != ["a"]
    (tmp_path / "mine.txt").write_text("stays")
    assert storage.remove_leftovers(tmp_path) == 1
    assert names(tmp_path) == ["mine.txt"]


def test_write_json(tmp_path: Path) -> None:
    storage.write_json(tmp_path / "a.json", {"text": "雪\n", "name": "\udc80"})
    assert "雪" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"text": "雪\n", "name": "\udc80"}
    with pytest.raises(ValueError, match="JSON compliant"):
        storage.write_json(tmp_path / "b.json", float("nan"))
    assert names(tmp_path) == ["a.json"]


def test_default_features_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MULTIMODAL_SEARCH_FEATURES_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert storage.default_features_dir() == tmp_path / ".cache" / "multimodal_search" / "features"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert storage.default_features_dir() == tmp_path / "xdg" / "multimodal_search" / "features"
    monkeypatch.setenv("MULTIMODAL_SEARCH_FEATURES_DIR", "~/mine")
    assert storage.default_features_dir() == tmp_path / "mine"
    monkeypatch.delenv("MULTIMODAL_SEARCH_FEATURES_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert storage.default_features_dir() == tmp_path / "local" / "multimodal_search" / "features"


def test_importing_storage_and_tables_brings_no_torch_and_no_boto3() -> None:
    program = "import sys, multimodal_search.storage, multimodal_search.tables; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert not {"torch", "boto3"} & set(loaded.split())
