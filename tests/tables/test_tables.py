"""A table survives kills, damage and a second run; what it returns is what was put in."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search.errors import BundleError, EncoderError, OutputError
from multimodal_search.tables import FeatureTable, TableInfo, TableWriter, open_table, part_name, write_table
from multimodal_search.types import EncoderCard, Failure, Modality

DIM = 4
INFO = TableInfo("f" * 40, DIM, EncoderCard("stub/x", "none", Modality.IMAGE, DIM), source={"kind": "test"})


def rows(first: int, count: int) -> tuple[list[str], list[str], np.ndarray]:
    numbers = np.arange(first, first + count)
    return [f"id-{i}" for i in numbers], ["k"] * count, np.repeat(numbers[:, None], DIM, 1).astype(np.float32)


def make(folder: Path, parts: int = 3, rows_per_part: int = 5) -> Path:
    with TableWriter(folder, INFO) as writer:
        for part in range(parts):
            writer.add(*rows(part * rows_per_part, rows_per_part))
    return folder


def files(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern), key=lambda path: path.name)


def test_the_folder_holds_the_documented_files(tmp_path: Path) -> None:
    make(tmp_path / "t")
    with TableWriter(tmp_path / "t", INFO) as writer:
        writer.write_failures([Failure("雨/1", "images/雨.png", "truncated\nfile"), Failure("2", None, "x")])
    manifest = json.loads((tmp_path / "t" / "manifest.json").read_text(encoding="utf-8"))
    assert {
        key: manifest[key] for key in ("format_version", "rows", "dim", "dtype", "normalised", "pool")
    } == {
        "format_version": 1,
        "rows": 15,
        "dim": DIM,
        "dtype": "float32",
        "normalised": True,
        "pool": "default",
    }
    assert manifest["fingerprint"] == INFO.fingerprint
    assert EncoderCard.from_json(manifest["card"]) == INFO.card
    assert manifest["source"] == {"kind": "test"}
    for part in manifest["parts"]:
        vectors = np.load(tmp_path / "t" / f"{part['name']}.npy", allow_pickle=False)
        assert vectors.shape == (part["rows"], DIM)
    assert open_table(tmp_path / "t").failures() == [
        Failure("雨/1", "images/雨.png", "truncated\nfile"),
        Failure("2", None, "x"),
    ]


def test_reads_by_id_in_any_order(tmp_path: Path) -> None:
    table = open_table(make(tmp_path))
    wanted = ["id-14", "id-0", "id-7", "id-7", "id-6"]
    assert table.vectors(wanted)[:, 0].tolist() == [14, 0, 7, 7, 6]
    assert table.gather()[:, 0].tolist() == list(range(15))
    assert table.locate(["id-3", "nothing"]).tolist() == [3, -1]
    with pytest.raises(KeyError, match="nothing"):
        table.vectors(["id-3", "nothing"])
    assert table.vectors([]).shape == (0, DIM)


def test_rows_that_lie_together_are_mapped_not_copied(tmp_path: Path) -> None:
    table = open_table(make(tmp_path, parts=2))
    assert isinstance(table.vectors(["id-6", "id-7", "id-8"]), np.memmap)
    assert not isinstance(table.vectors(["id-4", "id-5"]), np.memmap)
    one = open_table(make(tmp_path / "one", parts=1))
    assert isinstance(one.gather(), np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        one.gather()[0] = 1


def test_gather_of_many_rows_equals_plain_indexing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    plain = rng.standard_normal((30_000, 3)).astype(np.float32)
    cuts = [0, 1, 9_000, 9_001, 30_000]
    blocks = [([str(i) for i in range(a, b)], plain[a:b], {}) for a, b in pairwise(cuts)]
    table = write_table(tmp_path, TableInfo("f", 3), blocks)
    for wanted in (rng.integers(0, 30_000, 50_000), np.arange(30_000)[::-1], np.arange(0, 30_000, 7)):
        np.testing.assert_array_equal(table.gather(wanted), plain[wanted])
    with pytest.raises(IndexError):
        table.gather(np.array([30_000]))


ids = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=60)
@given(st.lists(st.tuples(ids, st.text(st.characters(exclude_categories=["Cs"]), max_size=8)), max_size=20))
def test_any_text_is_an_id(pairs: list[tuple[str, str]]) -> None:
    unique = list(dict(pairs).items())
    vectors = np.arange(len(unique) * 2, dtype=np.float32).reshape(-1, 2)
    half = len(unique) // 2
    with tempfile.TemporaryDirectory() as folder:
        with TableWriter(folder, TableInfo("f", 2)) as writer:
            for start, stop in ((0, half), (half, len(unique))):
                some = unique[start:stop]
                writer.add([one for one, _ in some], [key for _, key in some], vectors[start:stop])
        table = open_table(folder)
        assert list(zip(table.ids, table.keys, strict=True)) == unique
        np.testing.assert_array_equal(table.vectors([one for one, _ in unique]), vectors)


def test_part_names_do_not_confuse_rows() -> None:
    assert part_name(["ab", "c"], ["k", "k"]) != part_name(["a", "bc"], ["k", "k"])
    assert part_name(["a"], ["b"]) != part_name(["b"], ["a"])
    assert part_name(["a"], ["b"]) == part_name(["a"], ["b"])


def test_an_input_that_changed_has_its_new_vector(tmp_path: Path) -> None:
    with TableWriter(tmp_path, INFO) as writer:
        writer.add(["a", "b"], ["1", "1"], np.zeros((2, DIM)))
        writer.add(["a"], ["2"], np.ones((1, DIM)))
    table = open_table(tmp_path)
    assert table.vectors(["a", "b"])[:, 0].tolist() == [1, 0]
    assert table.locate(["a", "a", "a"], ["1", "2", "3"]).tolist() == [0, 2, -1]
    # also when the manifest is lost: the order of writing is in the parts
    (tmp_path / "manifest.json").unlink()
    with TableWriter(tmp_path, INFO) as writer:
        assert writer.table.vectors(["a", "b"])[:, 0].tolist() == [1, 0]


def test_metadata_columns(tmp_path: Path) -> None:
    blocks = [
        (["a", "b"], np.eye(2, DIM), {"scene_id": ["s1", "s2"], "timestamp_us": [1532402927647951, None]}),
        (["c"], np.eye(1, DIM), {"scene_id": ["s3"], "timestamp_us": [7]}),
    ]
    table = write_table(tmp_path, INFO, blocks)
    assert table.columns().to_pydict() == {
        "id": ["a", "b", "c"],
        "key": ["", "", ""],
        "scene_id": ["s1", "s2", "s3"],
        "timestamp_us": [1532402927647951, None, 7],
    }
    assert len(write_table(tmp_path, INFO, blocks[1:])) == 1
    assert open_table(tmp_path).ids == ["c"]
    assert len(files(tmp_path, "part-*")) == 2


@pytest.mark.parametrize("suffix", ["npy", "parquet"])
@pytest.mark.parametrize("how", ["truncated", "flipped", "missing"])
def test_damaged_part_is_said_refused_for_reading_and_dropped_for_writing(
    tmp_path: Path, suffix: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path)
    victim = files(tmp_path, f"part-*.{suffix}")[1]
    content = bytearray(victim.read_bytes())
    if how == "truncated":
        victim.write_bytes(content[:-5])
    elif how == "flipped":
        content[-len(content) // 3] ^= 0x10
        victim.write_bytes(content)
    else:
        victim.unlink()
    with pytest.raises(BundleError, match="1 of 3 parts are damaged") as caught:
        open_table(tmp_path)
    assert victim.name in str(caught.value)
    lenient = open_table(tmp_path, skip_damaged=True)
    assert len(lenient) == 10
    assert list(lenient.damaged) == [victim.stem]
    with caplog.at_level(logging.WARNING), TableWriter(tmp_path, INFO) as writer:
        assert len(writer.table) == 10
        assert "computed again" in caplog.text
        missing = [f"id-{i}" for i in range(15) if writer.table.locate([f"id-{i}"])[0] < 0]
        assert len(missing) == 5
        writer.add(*rows(int(missing[0][3:]), 5))
    assert sorted(open_table(tmp_path).ids, key=lambda one: int(one[3:])) == [f"id-{i}" for i in range(15)]


@pytest.mark.parametrize(
    "content", [None, "", "{", '{"format": "x"}', "[]", '{"format": "other", "parts": []}']
)
def test_lost_manifest_is_written_anew_from_the_parts(tmp_path: Path, content: str | None) -> None:
    make(tmp_path)
    before = (tmp_path / "manifest.json").read_bytes()
    (tmp_path / "manifest.json").unlink()
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(BundleError, match="no whole feature table"):
        open_table(tmp_path)
    with TableWriter(tmp_path, INFO):
        pass
    assert (tmp_path / "manifest.json").read_bytes() == before


def test_whatever_a_kill_leaves_is_cleaned_or_used(tmp_path: Path) -> None:
    make(tmp_path / "whole")
    listed = json.loads((tmp_path / "whole" / "manifest.json").read_text())["parts"]
    # killed after the last part and before the manifest; between a part's two files; while writing a file
    shutil.copytree(tmp_path / "whole", tmp_path / "t")
    manifest = json.loads((tmp_path / "t" / "manifest.json").read_text())
    manifest["parts"] = listed[:2]
    (tmp_path / "t" / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "t" / "part-0123456789abcdef.npy").write_bytes(b"no parquet yet")
    (tmp_path / "t" / ".part-77.npy.0a1b2c.tmp").write_bytes(b"half")
    assert len(open_table(tmp_path / "t")) == 10
    with TableWriter(tmp_path / "t", INFO) as writer:
        assert len(writer.table) == 15
    names = [path.name for path in files(tmp_path / "t", "*")]
    assert names == [path.name for path in files(tmp_path / "whole", "*")]


def test_unlisted_part_that_is_damaged_is_dropped(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "manifest.json").unlink()
    victims = files(tmp_path, "part-*.parquet")
    victims[0].write_bytes(b"PAR1 nonsense")
    victims[1].write_bytes(victims[2].read_bytes())  # another part's rows under this name
    with TableWriter(tmp_path, INFO) as writer:
        assert len(writer.table) == 5
    assert len(files(tmp_path, "part-*")) == 2


def test_another_encoders_table_is_refused_and_untouched(tmp_path: Path) -> None:
    make(tmp_path)
    before = {path.name: path.read_bytes() for path in files(tmp_path, "[!.]*")}
    other = TableInfo("0" * 40, DIM)
    with pytest.raises(EncoderError, match="another encoder") as caught:
        open_table(tmp_path, fingerprint=other.fingerprint)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(EncoderError), TableWriter(tmp_path, other):
        pass
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(EncoderError), TableWriter(tmp_path, other):
        pass
    del before["manifest.json"]
    assert {path.name: path.read_bytes() for path in files(tmp_path, "[!.]*")} == before
    with TableWriter(tmp_path, INFO) as writer:
        assert len(writer.table) == 15  # its own encoder may still come in


def test_other_shape_or_newer_format_is_refused(tmp_path: Path) -> None:
    make(tmp_path)
    for other in (TableInfo(INFO.fingerprint, 5), TableInfo(INFO.fingerprint, DIM, dtype="float16")):
        with (
            pytest.raises(BundleError, match=r"dim 4, not 5|dtype .float32., not .float16."),
            TableWriter(tmp_path, other),
        ):
            pass
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "format_version": 2}))
    with pytest.raises(BundleError, match="upgrade multimodal-search"):
        open_table(tmp_path)
    with pytest.raises(BundleError, match="upgrade multimodal-search"), TableWriter(tmp_path, INFO):
        pass
    assert len(files(tmp_path, "part-*")) == 6


def test_no_table(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none", tmp_path / "file" / "below"):
        (tmp_path / "file").write_text("x")
        with pytest.raises(BundleError, match=r"manifest\.json is missing"):
            open_table(folder)


def test_wrong_shape_is_our_own_mistake(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"\(2, 3\), expected \(2, 4\)"),
        TableWriter(tmp_path, INFO) as writer,
    ):
        writer.add(["a", "b"], ["", ""], np.zeros((2, 3)))
    assert len(open_table(tmp_path)) == 0


def test_a_second_writer_waits_or_is_refused(tmp_path: Path) -> None:
    make(tmp_path)
    with TableWriter(tmp_path, INFO):
        started = time.monotonic()
        with (
            pytest.raises(OutputError, match=f"process {os.getpid()} on"),
            TableWriter(tmp_path, INFO, wait_seconds=0.2),
        ):
            pass
        assert time.monotonic() - started < 30
        assert len(open_table(tmp_path)) == 15  # readers need no lock
    with TableWriter(tmp_path, INFO, wait_seconds=0):
        pass


HOLDER = """
import sys, time
from multimodal_search.tables import TableInfo, TableWriter
with TableWriter(sys.argv[1], TableInfo("f" * 40, 4)) as writer:
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
    writer.add(["late"], ["k"], [[1, 2, 3, 4]])
"""


def hold(folder: Path, seconds: float) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", HOLDER, str(folder), str(seconds)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_lock_of_a_dead_process_is_free(tmp_path: Path) -> None:
    with hold(tmp_path, 600) as process:
        with (
            pytest.raises(OutputError, match=f"process {process.pid} on"),
            TableWriter(tmp_path, INFO, wait_seconds=0),
        ):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        with TableWriter(tmp_path, INFO, wait_seconds=5) as writer:
            assert len(writer.table) == 0


def test_waiting_writer_sees_what_the_other_wrote(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with hold(tmp_path, 1.5) as process, caplog.at_level(logging.WARNING):
        with TableWriter(tmp_path, INFO) as writer:
            assert writer.table.vectors(["late"]).tolist() == [[1, 2, 3, 4]]
        assert f"waiting for another run (process {process.pid}" in caplog.text


def test_read_only_folder_can_be_read(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / ".lock").unlink()
    assert isinstance(open_table(tmp_path), FeatureTable)
    assert not (tmp_path / ".lock").exists()


def test_same_rows_give_the_same_files(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b")
    for path in files(tmp_path / "a", "[!.]*"):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_many_parts_rewrite_the_manifest_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from multimodal_search.tables import manifest as module

    sizes: list[int] = []
    real = module.write_manifest
    monkeypatch.setattr(
        module,
        "write_manifest",
        lambda store, info, parts: (sizes.append(len(parts)), real(store, info, parts)),
    )
    make(tmp_path, parts=200, rows_per_part=1)
    assert sizes[-1] == 200
    assert sum(sizes) < 200 * 40  # a part each would be 200 * 100
