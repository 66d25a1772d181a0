"""A folder of meshes: rendered once, gone on with, and no bad file takes the job along."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from multimodal_search.errors import DataError, OutputError, ProjectError
from multimodal_search.rendering import run as rendering
from multimodal_search.rendering.shapes import ball, write_ply, write_sample
from multimodal_search.settings import RenderSettings

pytest.importorskip("trimesh")


def render(meshes: Path, out: Path, *, code: str | None = None, **changes: Any) -> rendering.Rendered:
    values = {"views": 3, "size": 64, "num_processes": 1, **changes}
    crew = {} if code is None else {"code": code}
    return rendering.run(RenderSettings(input=meshes, out=out, **values), **crew)


def pictures(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.png")}


def failures(out: Path) -> dict[str, str]:
    lines = (out / "failures.jsonl").read_text().splitlines()
    return {one["id"]: one["reason"] for one in map(json.loads, lines)}


def test_hierarchy_names_and_manifest(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "renders"
    done = render(meshes, out, num_processes=2)
    assert done.ids == ("bones/a", "bones/b", "shells/a")
    names = {f"{one}_view{view:02d}.png" for one in done.ids for view in range(3)}
    assert set(pictures(out)) == names
    with Image.open(out / "bones/a_view00.png") as picture:
        assert picture.size == (64, 64)
        assert picture.mode == "RGB"
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["renderer"] == "zbuffer"
    assert manifest["views"] == 3
    assert failures(out) == {}
    assert not list(out.rglob("*.tmp"))


def test_a_rerun_renders_what_is_missing_or_new(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "renders"
    render(meshes, out)
    before = pictures(out)
    stamps = {name: (out / name).stat().st_mtime_ns for name in before}
    (out / "bones/b_view01.png").unlink()
    write_ply(meshes / "shells/new.ply", ball(6, 8))
    write_ply(meshes / "shells/a.ply", ball(8, 12, 3, 0.3))
    done = render(meshes, out)
    assert done.new == 3
    after = pictures(out)
    assert after["bones/b_view01.png"] == before["bones/b_view01.png"]
    assert after["shells/a_view00.png"] != before["shells/a_view00.png"]
    assert (out / "bones/a_view00.png").stat().st_mtime_ns == stamps["bones/a_view00.png"]
    assert render(meshes, out).new == 0


def test_two_files_of_one_name(meshes: Path, tmp_path: Path) -> None:
    (meshes / "bones/a.OFF").write_text("OFF\n4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 1\n3 0 1 2\n3 0 2 3\n")
    done = render(meshes, tmp_path / "renders")
    assert done.ids == ("bones/a.OFF", "bones/a.ply", "bones/b", "shells/a")
    assert (tmp_path / "renders/bones/a.OFF_view00.png").is_file()


def test_a_bad_file_is_listed_and_the_rest_goes_on(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "renders"
    (meshes / "bones/bad.ply").write_bytes(b"ply\n")
    (meshes / "gone.obj").symlink_to(meshes / "nowhere.obj")
    done = render(meshes, out)
    assert (len(done.ids), done.failed) == (3, 2)
    reasons = failures(out)
    assert "truncated" in reasons["bones/bad"]
    assert "No such file" in reasons["gone"]
    assert failures(out) == reasons
    assert render(meshes, out).new == 0
    write_ply(meshes / "bones/bad.ply", ball(6, 8))
    assert render(meshes, out).new == 1
    (meshes / "bones/bad.ply").write_bytes(b"ply\n")
    render(meshes, out)
    assert not list(out.rglob("bad_view*")), "views of a file that was better once"


@pytest.mark.slow
def test_a_crash_a_hang_and_a_hungry_file_cost_themselves(meshes: Path, tmp_path: Path, trouble: str) -> None:
    out = tmp_path / "renders"
    for name in ("segfault", "hang", "hungry"):
        write_ply(meshes / f"{name}.ply", ball(6, 8))
    done = render(meshes, out, code=trouble, timeout_seconds=2, memory_gb=3, num_processes=2)
    assert len(done.ids) == 3
    reasons = failures(out)
    assert "SIGSEGV" in reasons["segfault"]
    assert "longer than 2 s" in reasons["hang"]
    assert "memory" in reasons["hungry"]
    # these may do better: they are tried again, here by a renderer without trouble
    assert render(meshes, out).new == 3
    assert failures(out) == {}


def test_a_full_disk_ends_the_job_with_what_is_done(meshes: Path, tmp_path: Path, trouble: str) -> None:
    write_ply(meshes / "z-full-disk.ply", ball(6, 8))
    with pytest.raises(OutputError, match="disk is full"):
        render(meshes, tmp_path / "renders", code=trouble)
    assert len(pictures(tmp_path / "renders")) == 9
    assert render(meshes, tmp_path / "renders").new == 1


def test_other_settings_are_refused_and_overwritten(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "renders"
    render(meshes, out)
    for change in ({"views": 2}, {"background": "black"}):
        with pytest.raises(OutputError, match="made otherwise"):
            render(meshes, out, **change)
    render(meshes, out, views=2, overwrite=True)
    assert len(pictures(out)) == 6


def test_another_renderer_is_refused(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "renders"
    render(meshes, out)
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps({**manifest, "renderer": "vtk", "version": "9.5"}))
    with pytest.raises(OutputError, match="renderer vtk, not zbuffer"):
        render(meshes, out)


def test_mistakes_are_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        render(tmp_path / "absent", tmp_path / "out")
    (tmp_path / "meshes").mkdir()
    with pytest.raises(DataError, match="No meshes"):
        render(tmp_path / "meshes", tmp_path / "out")
    (tmp_path / "meshes/a.ply").write_bytes(b"")
    with pytest.raises(DataError, match="None of the 1 specimens"):
        render(tmp_path / "meshes", tmp_path / "out")
    with pytest.raises(ProjectError, match="cannot be started"):
        render(tmp_path / "meshes", tmp_path / "out", code="import sys; sys.exit(3)")


@pytest.mark.slow
def test_kill_9_in_the_middle_loses_no_picture_and_leaves_none_half(tmp_path: Path) -> None:
    meshes, out = tmp_path / "meshes", tmp_path / "renders"
    write_sample(meshes, 12)
    command = [sys.executable, "-m", "multimodal_search", "render", "--in", str(meshes), "--out", str(out)]
    command += ["--views", "6", "--size", "256", "--num-processes", "2"]
    for wait in (0.3, 1.0):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        before = len(list(out.rglob("*.png")))
        while (
            len(list(out.rglob("*.png"))) <= before and time.monotonic() < deadline and child.poll() is None
        ):
            time.sleep(0.02)
        time.sleep(wait)
        child.kill()
        child.wait()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = pictures(out)
    assert len(found) == 12 * 6
    shutil.rmtree(out)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert pictures(out) == found
