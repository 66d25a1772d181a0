"""A file for each id: inside the folder, on any file system, and never one for two ids."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimodal_search.analysis.neighbors_paths import file_paths

RESERVED = ["neighbors.parquet", "search_all.json"]


@pytest.mark.parametrize(
    ("one", "path"),
    [
        ("a/b.jpg", "a/b.jpg.csv"),
        ("scene-0061/1532402927647951", "scene-0061/1532402927647951.csv"),
        ("車/夜 1.png", "車/夜 1.png.csv"),
        ("../../etc/passwd", "%2E%2E/%2E%2E/etc/passwd.csv"),
        ("/etc/passwd", "etc/passwd.csv"),
        ("a/./b", "a/%2E/b.csv"),
        ("s3://bucket/x.jpg", "s3%3A/bucket/x.jpg.csv"),
        ("C:\\x", "C%3A%5Cx.csv"),
        ("a\nb\0", "a%0Ab%00.csv"),
        ("aux/nul.txt", "%61ux/%6Eul.txt.csv"),
        ("a.csv/b", "a%2Ecsv/b.csv"),
        ("Neighbors.parquet/x", "%4Eeighbors.parquet/x.csv"),
        ("trailing./x ", "trailing%2E/x%20.csv"),
    ],
)
def test_odd_ids_make_safe_paths(one: str, path: str) -> None:
    assert file_paths([one], RESERVED) == [path]


def test_ids_that_differ_in_case_or_slashes_get_files_of_their_own() -> None:
    ids = ["A/x.jpg", "a/X.jpg", "a//x.jpg", "b/x.jpg", "caf\u00e9", "cafe\u0301", "", "/"]
    paths = file_paths(ids)
    assert len({unicodedata.normalize("NFC", path.casefold()) for path in paths}) == len(ids)
    assert paths[3] == "b/x.jpg.csv"


ODD = st.text(alphabet=st.sampled_from("aA./\\:~%é\n \0-1"), max_size=12) | st.text(max_size=400)


@given(
    st.lists(ODD | st.sampled_from(["neighbors.parquet/q", "con/x", "x" * 5000, "y/" * 2000]), unique=True)
)
def test_any_ids(ids: list[str]) -> None:
    paths = file_paths(ids, RESERVED)
    assert len({unicodedata.normalize("NFC", path.casefold()) for path in paths}) == len(ids)
    files = {path.casefold() for path in paths}
    for path in paths:
        parts = PurePosixPath(path).parts
        assert not PurePosixPath(path).is_absolute()
        assert ".." not in parts
        assert not PureWindowsPath(path).drive
        assert parts[0].casefold() not in RESERVED
        assert all(len(part.encode()) <= 255 for part in parts)
        folders = ["/".join(parts[:depth]).casefold() for depth in range(1, len(parts))]
        assert not files.intersection(folders)
        assert path.encode().endswith(b".csv")
