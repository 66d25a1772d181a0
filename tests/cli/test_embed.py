"""``multimodal-search embed`` as a user runs it: what goes in, what comes out, what a second run does."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from multimodal_search.cli import main
from multimodal_search.tables import open_table


def draw(path: Path, seed: int, size: tuple[int, int] = (160, 90)) -> Path:
    """A smooth picture that no other seed gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for number in range(10):
        draw(folder / f"{'ab'[number % 2]}/{number:03d}.jpg", number)
    return folder


def embed(*argv: str | Path, expect: int = 0) -> None:
    assert main(["embed", "--engine", "local", *map(str, argv)]) == expect


def parts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*"))}


SMALL = ("--encoder", "sample/vit", "--rows-per-part", "4", "--batch-size", "2")


def test_a_folder_becomes_a_table_in_listing_order(pictures: Path, tmp_path: Path) -> None:
    embed("--image-dir", pictures, "--out", tmp_path / "out", *SMALL)
    table = open_table(tmp_path / "out")
    assert table.ids == [f"a/{n:03d}.jpg" for n in range(0, 10, 2)] + [
        f"b/{n:03d}.jpg" for n in range(1, 10, 2)
    ]
    vectors = table.gather()
    assert vectors.dtype == np.float16
    assert np.allclose(np.linalg.norm(vectors.astype(np.float32), axis=1), 1, atol=1e-3)
    assert len(table.parts) == 3
    assert table.info.source["root"] == str(pictures)
    assert not list(tmp_path.glob("out/.unfinished*"))


def test_a_second_run_does_nothing_and_a_grown_folder_only_what_is_new(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    embed("--image-dir", pictures, "--out", out, *SMALL)
    before = parts(out)
    embed("--image-dir", pictures, "--out", out, *SMALL)
    assert parts(out) == before
    assert "10 were there already" in capsys.readouterr().out

    draw(pictures / "a" / "001.jpg", 99)  # in the middle: every later part would be another one
    embed("--image-dir", pictures, "--out", out, *SMALL)
    said = capsys.readouterr().out
    assert "1 new" in said
    assert "10 were there already" in said
    table = open_table(out)
    assert sorted(table.ids) == sorted(
        path.relative_to(pictures).as_posix() for path in pictures.rglob("*.jpg")
    )
    assert before.items() <= parts(out).items()


def test_a_changed_picture_is_embedded_again_and_the_new_row_holds(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    embed("--image-dir", pictures, "--out", tmp_path / "out.parquet", *SMALL)
    old = dict(zip(*_columns(tmp_path / "out.parquet"), strict=True))
    draw(pictures / "a/000.jpg", 1234)
    embed("--image-dir", pictures, "--out", tmp_path / "out.parquet", *SMALL)
    new = dict(zip(*_columns(tmp_path / "out.parquet"), strict=True))
    assert sorted(new) == sorted(old)
    changed = [one for one in new if not np.array_equal(new[one], old[one])]
    assert changed == ["a/000.jpg"]
    assert not out.exists()


def _columns(file: Path) -> tuple[list[str], list[np.ndarray]]:
    table = pq.read_table(file)
    return table["id"].to_pylist(), [np.array(one) for one in table["embedding"].to_pylist()]


def test_bad_pictures_are_listed_and_cost_nothing_else(pictures: Path, tmp_path: Path) -> None:
    (pictures / "a/empty.jpg").write_bytes(b"")
    (pictures / "a/text.png").write_text("no picture")
    whole = (pictures / "b/001.jpg").read_bytes()
    (pictures / "b/half.jpg").write_bytes(whole[: len(whole) // 2])
    embed("--image-dir", pictures, "--out", tmp_path / "out", *SMALL)
    table = open_table(tmp_path / "out")
    assert len(table) == 10
    reasons = {one.id: one.reason for one in table.failures()}
    assert set(reasons) == {"a/empty.jpg", "a/text.png", "b/half.jpg"}
    assert "empty" in reasons["a/empty.jpg"]
    assert "not an image" in reasons["a/text.png"]
    assert "truncated" in reasons["b/half.jpg"]
    assert np.linalg.norm(table.gather().astype(np.float32), axis=1).min() > 0.9


def test_nothing_but_bad_pictures_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.jpg").write_bytes(b"")
    embed("--image-dir", tmp_path / "bad", "--out", tmp_path / "out", *SMALL, expect=2)
    said = capsys.readouterr().err
    assert "None of the 1 images could be embedded" in said
    assert "empty" in said


@pytest.mark.parametrize("suffix", [".parquet", ".npy", ".hdf5"])
def test_single_files_hold_the_table_s_rows(suffix: str, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / f"features{suffix}"
    embed("--image-dir", pictures, "--out", out, *SMALL)
    table = open_table(f"{out}.parts")
    expected = table.gather()
    if suffix == ".parquet":
        ids, vectors = _columns(out)
        assert ids == table.ids
        assert np.array_equal(np.stack(vectors), expected)
    elif suffix == ".npy":
        assert np.array_equal(np.load(out), expected)
        assert (tmp_path / "features.ids.txt").read_text().splitlines() == table.ids
    else:
        import h5py

        with h5py.File(out) as file:
            assert np.array_equal(file["6_features"][()], expected[table.ids.index("a/006.jpg")])
    stamp = out.stat().st_mtime_ns
    embed("--image-dir", pictures, "--out", out, *SMALL)
    assert out.stat().st_mtime_ns == stamp


def test_grids_are_read_as_a_captioning_model_reads_them(tmp_path: Path) -> None:
    import h5py

    for number in (7, 123456):
        draw(tmp_path / f"coco/COCO_val2014_{number:012d}.jpg", number)
    out = tmp_path / "grids.hdf5"
    embed("--image-dir", tmp_path / "coco", "--out", out, "--encoder", "open_clip/ViT-B-32", "--weights",
          "random", "--pool", "grid", "--grid-size", "7")  # fmt: skip
    with h5py.File(out) as file:
        assert sorted(file) == ["123456_grids", "7_grids"]
        assert file["123456_grids"][()].shape == (49, 768)


def test_views_of_a_specimen_become_one_array(tmp_path: Path) -> None:
    for name in ("teeth/upper_1", "teeth/upper_2", "bones/upper_1"):
        for view in (0, 1, 2):
            draw(tmp_path / f"renders/{name}_view{view:02d}.png", zlib.crc32(name.encode()) + view)
    out = tmp_path / "features"
    embed("--views", "--image-dir", tmp_path / "renders", "--out", out, *SMALL)
    found = sorted(
        path.relative_to(out).as_posix() for path in out.rglob("*.npy") if ".parts" not in path.parts
    )
    assert found == ["bones/upper_1.npy", "teeth/upper_1.npy", "teeth/upper_2.npy"]
    assert np.load(out / "teeth/upper_2.npy").shape == (3, 128)


def test_texts(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("a car waits\n\n雨の交差点\na car waits\n", encoding="utf-8")
    embed("--text-file", tmp_path / "texts.txt", "--out", tmp_path / "out", "--encoder", "sample/text")
    assert open_table(tmp_path / "out").ids == ["a car waits", "雨の交差点"]


def test_a_path_file_keeps_the_prefix_in_the_id(pictures: Path, tmp_path: Path) -> None:
    lines = [f"drives/{path.relative_to(pictures).as_posix()}" for path in sorted(pictures.rglob("*.jpg"))]
    (tmp_path / "paths.txt").write_text("\n".join(lines))
    embed("--path-file", tmp_path / "paths.txt", "--dataset", "drives", "--target-dir", pictures,
          "--start-line", "2", "--end-line", "7", "--hash", "phash", "--log-dir", tmp_path / "logs",
          "--process-index", "3", "--out", tmp_path / "out", *SMALL)  # fmt: skip
    table = open_table(tmp_path / "out")
    assert table.ids == lines[2:7]
    assert all(len(one) == 16 for one in table.columns()["phash"].to_pylist())
    assert "5 rows" in (tmp_path / "logs/drives_3.txt").read_text()


def test_verify_prints_how_far_stored_rows_are(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embed("--image-dir", pictures, "--out", tmp_path / "out", "--verify", "5", "--decode", "exact", *SMALL)
    said = capsys.readouterr().out
    assert "verified 5 random rows" in said
    assert "minimum 1.0000" in said or "minimum 0.9999" in said


def test_estimate_prints_hours_and_cost_and_writes_nothing(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embed("--image-dir", pictures, "--out", tmp_path / "out", "--estimate", "--hourly-price", "2", *SMALL)
    said = capsys.readouterr().out
    assert "this machine" in said
    assert "g6e.xlarge" in said
    assert "$" in said
    assert not (tmp_path / "out").exists()


def test_another_encoder_s_output_is_refused(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embed("--image-dir", pictures, "--out", tmp_path / "out", *SMALL)
    before = parts(tmp_path / "out")
    embed("--image-dir", pictures, "--out", tmp_path / "out", *SMALL, "--pool", "mean", expect=2)
    assert "another encoder" in capsys.readouterr().err
    embed("--image-dir", pictures, "--out", tmp_path / "out", *SMALL, "--decode", "exact", expect=2)
    assert "decode" in capsys.readouterr().err
    assert parts(tmp_path / "out") == before
    embed("--image-dir", pictures, "--out", tmp_path / "out", *SMALL, "--pool", "mean", "--overwrite")
    assert open_table(tmp_path / "out").info.dim != 128


def test_a_damaged_part_is_found_said_and_rebuilt(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    embed("--image-dir", pictures, "--out", out, *SMALL)
    before = parts(out)
    victim = sorted(out.glob("part-*.npy"))[0]
    raw = bytearray(victim.read_bytes())
    raw[-3] ^= 1
    victim.write_bytes(raw)
    embed("--image-dir", pictures, "--out", out, *SMALL)
    said = capsys.readouterr()
    assert victim.stem in said.out + said.err
    assert parts(out) == before


MISTAKES = {
    "no input": ([], ["--image-dir", "--path-file"]),
    "absent folder": (["--image-dir", "/nowhere/at/all"], ["/nowhere/at/all"]),
    "two inputs": (["--image-dir", "{here}", "--text-file", "{here}/t"], ["--image-dir", "--text-file"]),
    "grid of a ResNet": (
        ["--image-dir", "{here}/pictures", "--encoder", "open_clip/RN50", "--weights", "random",
         "--pool", "grid"],
        ["grid", "ViT"],
    ),
    "grid size without grid": (["--image-dir", "{here}/pictures", "--grid-size", "7"], ["--pool grid"]),
    "odd output": (["--image-dir", "{here}/pictures", "--out", "{here}/x.csv"], [".parquet", ".hdf5"]),
    "absent path file": (
        ["--path-file", "{here}/none.txt", "--dataset", "d", "--target-dir", "{here}"],
        ["none.txt"],
    ),
    "empty folder": (["--image-dir", "{here}/void"], ["void"]),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_explained(
    case: str, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "void").mkdir()
    argv, words = MISTAKES[case]
    argv = [word.format(here=tmp_path) for word in argv]
    out = [] if "--out" in argv else ["--out", str(tmp_path / "out")]
    embed(*argv, *out, expect=2)
    said = capsys.readouterr().err
    for word in words:
        assert word in said
    assert "Traceback" not in said


def test_a_table_written_by_embed_says_what_made_it(pictures: Path, tmp_path: Path) -> None:
    embed("--image-dir", pictures, "--out", tmp_path / "out", *SMALL)
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["card"]["name"] == "sample/vit"
    assert manifest["settings"]["decode"] == "fast"
    assert manifest["rows"] == 10
