"""A table as one file: every row once, in order, readable by others; whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search.errors import DataError, OutputError, SettingsError
from multimodal_search.tables import (
    FeatureTable,
    TableInfo,
    TableWriter,
    claim_target,
    open_table,
    read_ids,
    write_single_file,
    write_table,
)
from multimodal_search.types import EncoderCard, Modality

DIM = 3
INFO = TableInfo("f" * 40, DIM, EncoderCard("stub/x", "none", Modality.IMAGE, DIM), dtype="float16")
GRIDS = replace(INFO, patches=2)
SUFFIXES = [".parquet", ".npy", ".hdf5"]


def vectors_of(count: int, info: TableInfo = INFO, first: int = 0) -> np.ndarray:
    shape = (count, *info.row_shape)
    return ((first + np.arange(np.prod(shape))) % 60_000).reshape(shape).astype(info.dtype)


def make(folder: Path, ids: Sequence[str], info: TableInfo = INFO, per_part: int = 4) -> FeatureTable:
    vectors = vectors_of(len(ids), info)
    with TableWriter(folder, info) as writer:
        for start in range(0, len(ids), per_part):
            some = list(ids[start : start + per_part])
            columns = {"phash": [one[:4] for one in some]}
            writer.add(some, [f"k-{one}" for one in some], vectors[start : start + per_part], columns)
    return open_table(folder)


def read_parquet(path: Path, info: TableInfo = INFO) -> tuple[list[str], np.ndarray]:
    table = pq.read_table(path, page_checksum_verification=True)
    flat = table["embedding"].combine_chunks().values.to_numpy(zero_copy_only=False)
    return table["id"].to_pylist(), flat.reshape(-1, *info.row_shape)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


IDS = [f"images/{i:012}.jpg" for i in range(10)]
ids = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=30)
@given(st.lists(ids, unique=True, max_size=12), st.sampled_from([INFO, GRIDS]), st.integers(1, 5))
def test_any_id_comes_back_from_parquet_and_npy(some: list[str], info: TableInfo, per_part: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = make(Path(folder, "t"), some, info, per_part)
        for suffix in (".parquet", ".npy"):
            assert write_single_file(table, Path(folder, f"x{suffix}"))
        found, vectors = read_parquet(Path(folder, "x.parquet"), info)
        assert found == some
        np.testing.assert_array_equal(vectors, vectors_of(len(some), info))
        assert read_ids(Path(folder, "x.ids.txt")) == some
        assert len(Path(folder, "x.ids.txt").read_bytes().split(b"\n")) == len(some) + 1
        np.testing.assert_array_equal(np.load(Path(folder, "x.npy")), vectors_of(len(some), info))


@settings(max_examples=30)
@given(st.lists(ids.filter(lambda one: not {"/", "\0"} & set(one)), unique=True, max_size=12))
def test_any_id_names_a_data_set(some: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = make(Path(folder, "t"), some, GRIDS)
        assert write_single_file(table, Path(folder, "x.hdf5"), id_pattern="(?s)^(.*)$")
        with h5py.File(Path(folder, "x.hdf5")) as file:
            assert len(file) == len(some)
            for one, vector in zip(some, vectors_of(len(some), GRIDS), strict=True):
                np.testing.assert_array_equal(file[f"{one}_grids"][()], vector)


@settings(max_examples=30)
@given(st.lists(ids.filter(lambda one: "/" not in one and "\0" not in one and one), unique=True, max_size=8))
def test_any_id_names_a_file_of_views(names: list[str]) -> None:
    names = [one for one in names if len(one.encode()) < 200]
    some = [f"shape/{one}_view{i:02}.png" for one in names for i in (0, 2)]
    with tempfile.TemporaryDirectory() as folder:
        table = make(Path(folder, "t"), some)
        if some:
            assert write_single_file(table, Path(folder, "out"), kind="views")
        for one, vectors in zip(names, vectors_of(len(some)).reshape(-1, 2, DIM), strict=True):
            np.testing.assert_array_equal(np.load(Path(folder, "out", "shape", f"{one}.npy")), vectors)


def test_parquet_says_what_it_holds(tmp_path: Path) -> None:
    table = make(tmp_path / "t", IDS, GRIDS)
    write_single_file(table, tmp_path / "x.parquet", compression="zstd")
    read = pq.read_table(tmp_path / "x.parquet")
    assert read.schema.names == ["id", "key", "phash", "embedding"]
    assert str(read.schema.field("embedding").type) == "fixed_size_list<element: halffloat>[6]"
    described = json.loads(read.schema.metadata[b"multimodal_search.feature_table"])
    assert described["shape"] == [2, 3]
    assert described["fingerprint"] == INFO.fingerprint
    assert EncoderCard.from_json(described["card"]) == INFO.card
    column = pq.ParquetFile(tmp_path / "x.parquet").metadata.row_group(0).column(3)
    assert column.compression == "ZSTD"


def test_parts_with_other_columns_meet_in_one_file(tmp_path: Path) -> None:
    with TableWriter(tmp_path / "t", INFO) as writer:
        writer.add(["a"], [""], vectors_of(1))
        writer.add(["b"], [""], vectors_of(1), {"phash": ["00ff"], "empty": [None]})
        writer.add(["c"], [""], vectors_of(1), {"phash": [None], "empty": [7]})
    write_single_file(open_table(tmp_path / "t"), tmp_path / "x.parquet")
    read = pq.read_table(tmp_path / "x.parquet").drop_columns(["embedding", "key"]).to_pydict()
    assert read == {"id": ["a", "b", "c"], "phash": [None, "00ff", None], "empty": [None, None, 7]}


class CaptionLoader:
    """How captioning models read their features."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, image_id: int) -> np.ndarray:
        f = h5py.File(self.path, "r")
        return f["%s_grids" % image_id][()]  # noqa: UP031


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_captioning_models_loader_reads_the_hdf5(tmp_path: Path, compression: str) -> None:
    some = [f"val2014/COCO_val2014_{i:012}.jpg" for i in (123456, 42, 0)]
    info = replace(INFO, patches=49)
    write_single_file(make(tmp_path / "t", some, info), tmp_path / "x.hdf5", compression=compression)
    loader = CaptionLoader(tmp_path / "x.hdf5")
    for number, expected in zip((123456, 42, 0), vectors_of(3, info), strict=True):
        np.testing.assert_array_equal(loader.load(number), expected)
        assert loader.load(number).dtype == np.float16
    with h5py.File(tmp_path / "x.hdf5") as file:
        assert set(file) == {"123456_grids", "42_grids", "0_grids"}
        assert (file["42_grids"].compression or "none") == compression


def test_pooled_vectors_and_names_without_a_number(tmp_path: Path) -> None:
    table = make(tmp_path / "t", ["a/tree.jpg", "b/tree.2.png", "tree_007"])
    write_single_file(table, tmp_path / "x.hdf5")
    with h5py.File(tmp_path / "x.hdf5") as file:
        assert set(file) == {"tree_features", "2_features", "7_features"}
        assert file["7_features"].shape == (DIM,)


def test_two_images_with_one_id_are_said_before_anything_is_written(tmp_path: Path) -> None:
    table = make(tmp_path / "t", ["a/1.jpg", "b/1.jpg", "b/01.png", "b/2.jpg"])
    with pytest.raises(
        DataError, match=r"2 images have the id of another one: '1' \('a/1.jpg' and 'b/1.jpg'\)"
    ):
        write_single_file(table, tmp_path / "x.hdf5")
    assert not (tmp_path / "x.hdf5").exists()
    with pytest.raises(DataError, match="without a '/'"):
        write_single_file(table, tmp_path / "x.hdf5", id_pattern="^(.*)$")
    with pytest.raises(DataError, match=r"1 of 4 images have no id that can name a data set: 'b/01\.png'"):
        write_single_file(table, tmp_path / "x.hdf5", id_pattern=r"(\d+)\.jpg")
    with pytest.raises(SettingsError, match="not a regular expression"):
        write_single_file(table, tmp_path / "x.hdf5", id_pattern="(")


def test_views_keep_their_folders_and_their_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    some = [
        "beetles/large/7_view10.png",
        "beetles/large/7_view2.png",
        "beetles/small/7_view0.png",
        "moths/7_view0.png",
        "moths/7_view1.JPG",
        "8_view3.png",
        "moths/readme.png",
    ]
    write_single_file(make(tmp_path / "t", some), tmp_path / "out", kind="views")
    vectors = vectors_of(len(some))
    expected = {
        "beetles/large/7": [1, 0],
        "beetles/small/7": [2],
        "moths/7": [3, 4],
        "8": [5],
    }
    found = {str(path.relative_to(tmp_path / "out"))[:-4] for path in (tmp_path / "out").rglob("*.npy")}
    assert found == set(expected)
    for name, rows in expected.items():
        np.testing.assert_array_equal(np.load(tmp_path / "out" / f"{name}.npy"), vectors[rows])
    assert "1 of 4 objects lack views" in caplog.text
    assert "1 rows are no <id>_viewNN" in caplog.text


def test_views_never_leave_their_folder(tmp_path: Path) -> None:
    for number, one in enumerate(("../x_view0.png", "a/../../x_view0.png", "/etc/x_view0.png")):
        with pytest.raises(DataError, match="leads out of"):
            write_single_file(make(tmp_path / f"t{number}", [one]), tmp_path / "out", kind="views")
    with pytest.raises(DataError, match="None of 1 rows is a view"):
        write_single_file(make(tmp_path / "t", ["x.png"]), tmp_path / "out", kind="views")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_changed_inputs_have_their_new_row_only(tmp_path: Path, suffix: str) -> None:
    make(tmp_path / "t", IDS)
    with TableWriter(tmp_path / "t", INFO) as writer:
        writer.add([IDS[3]], ["changed"], vectors_of(1, first=500))
    path = tmp_path / f"x{suffix}"
    write_single_file(open_table(tmp_path / "t"), path)
    wanted = [one for one in IDS if one != IDS[3]] + [IDS[3]]
    vectors = np.concatenate([np.delete(vectors_of(10), 3, 0), vectors_of(1, first=500)])
    if suffix == ".parquet":
        found, read = read_parquet(path)
        assert found == wanted
        np.testing.assert_array_equal(read, vectors)
    elif suffix == ".npy":
        assert read_ids(path.with_suffix(".ids.txt")) == wanted
        np.testing.assert_array_equal(np.load(path), vectors)
    else:
        with h5py.File(path) as file:
            assert len(file) == 10
            np.testing.assert_array_equal(file["3_features"][()], vectors[-1])


@pytest.mark.parametrize("suffix", [*SUFFIXES, "views"])
def test_a_file_is_written_again_only_when_the_table_changed(tmp_path: Path, suffix: str) -> None:
    some = [f"a/{i}_view0.png" for i in range(5)]
    kind = "views" if suffix == "views" else None
    path = tmp_path / "o" / (suffix if kind else f"x{suffix}")
    (tmp_path / "o").mkdir()
    pattern = r"(\d+)_view" if suffix == ".hdf5" else None

    def write() -> bool:
        return write_single_file(open_table(tmp_path / "t"), path, kind=kind, id_pattern=pattern)

    make(tmp_path / "t", some)
    assert write()
    before = contents(tmp_path / "o")
    assert not write()
    assert contents(tmp_path / "o") == before
    victim = next(one for one in (tmp_path / "o").rglob("*") if one.is_file())
    victim.unlink()
    assert write()
    assert contents(tmp_path / "o").keys() == before.keys()
    with TableWriter(tmp_path / "t", INFO) as writer:
        writer.add(["a/9_view0.png"], [""], vectors_of(1))
    assert write()
    assert not write()
    assert contents(tmp_path / "o") != before


def test_a_file_that_the_table_did_not_write_is_not_overwritten(tmp_path: Path) -> None:
    table = make(tmp_path / "x.npy.parts", IDS)
    assert write_single_file(table, tmp_path / "x.npy")
    before = (tmp_path / "x.npy").read_bytes()
    shutil.rmtree(tmp_path / "x.npy.parts")
    with pytest.raises(OutputError, match=r"x\.ids\.txt is there, and the parts"):
        claim_target(tmp_path / "x.npy", str(tmp_path / "x.npy.parts"))
    table = make(tmp_path / "x.npy.parts", IDS[:2])
    with pytest.raises(OutputError, match="--overwrite"):
        write_single_file(table, tmp_path / "x.npy")
    assert (tmp_path / "x.npy").read_bytes() == before
    # said once, it holds: also for the run after one that was killed
    claim_target(tmp_path / "x.npy", str(tmp_path / "x.npy.parts"), overwrite=True)
    assert write_single_file(table, tmp_path / "x.npy")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "mine").mkdir()
    with pytest.raises(OutputError, match="mine is there"):
        claim_target(tmp_path / "pictures", str(tmp_path / "pictures" / ".parts"), kind="views")


def test_unknown_kinds(tmp_path: Path) -> None:
    table = make(tmp_path / "t", IDS)
    with pytest.raises(SettingsError, match=r"'\.csv' is no kind"):
        write_single_file(table, tmp_path / "x.csv")
    with pytest.raises(SettingsError, match="--compression gzip"):
        write_single_file(table, tmp_path / "x.hdf5", compression="zstd")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_table_is_an_empty_file(tmp_path: Path, suffix: str) -> None:
    table = make(tmp_path / "t", [])
    assert write_single_file(table, tmp_path / f"x{suffix}")
    if suffix == ".npy":
        assert np.load(tmp_path / "x.npy").shape == (0, DIM)
    elif suffix == ".parquet":
        assert pq.read_table(tmp_path / "x.parquet").schema.names == ["id", "key", "embedding"]


EXPORTER = """
import sys
from multimodal_search.tables import open_table, write_single_file
table = open_table(sys.argv[1], verify=False)
print("writing", flush=True)
write_single_file(table, sys.argv[2])
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_killed_export_leaves_the_former_file_whole(tmp_path: Path, suffix: str) -> None:
    info = replace(INFO, dim=256)
    some = [f"{i}.jpg" for i in range(60_000)]
    path = tmp_path / f"x{suffix}"
    assert write_single_file(make(tmp_path / "t", some[:10], info), path)
    before = path.read_bytes()
    with TableWriter(tmp_path / "t", info) as writer:
        writer.add(some[10:], [""] * (len(some) - 10), vectors_of(len(some) - 10, info))
    arguments = [sys.executable, "-c", EXPORTER, str(tmp_path / "t"), str(path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        while not list(tmp_path.glob(".x*.tmp")) and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert path.read_bytes() == before
    assert write_single_file(open_table(tmp_path / "t"), path)
    assert path.stat().st_size > len(before)
    assert not list(tmp_path.glob(".x*.tmp"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs Linux and root")
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_said_and_leaves_the_former_file_whole(
    tmp_path: Path, small_disk: Path, suffix: str
) -> None:
    info = replace(INFO, dim=512, dtype="float32")
    some = [f"{i}.jpg" for i in range(4000)]
    path = small_disk / f"x{suffix}"
    assert write_single_file(make(tmp_path / "t", some[:10], info), path)
    before = contents(small_disk)
    with TableWriter(tmp_path / "t", info) as writer:
        writer.add(
            some[10:], [""] * (len(some) - 10), np.random.default_rng(0).random((3990, 512), np.float32)
        )
    with pytest.raises(OutputError, match="The disk is full"):
        write_single_file(open_table(tmp_path / "t"), path)
    assert contents(small_disk) == before


def test_parts_on_a_full_disk(small_disk: Path) -> None:
    info = replace(INFO, dim=512, dtype="float32")
    rows = vectors_of(300, info)
    blocks = (([f"{number}-{i}" for i in range(300)], rows, {}) for number in range(100))
    with pytest.raises(OutputError, match="The disk is full"):
        write_table(small_disk / "t", info, blocks)
    with TableWriter(small_disk / "t", info) as writer:
        table = writer.table
    assert len(table) == 300 * len(table.parts) > 0
