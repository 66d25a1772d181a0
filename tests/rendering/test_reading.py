"""Files as they come: read, or listed with a reason; none takes the machine down."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from multimodal_search.errors import SkipInput
from multimodal_search.rendering.headers import check_file
from multimodal_search.rendering.reading import read_shape
from multimodal_search.rendering.shape import Shape
from multimodal_search.rendering.shapes import ball, write_ply
from multimodal_search.rendering.views import Looks, draw_views
from multimodal_search.rendering.zbuffer import ZBuffer

trimesh = pytest.importorskip("trimesh")

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0.5\n"
# of shared/data/meshes/malformed: what has nothing to show
NOTHING_IN = {
    "empty.obj", "empty.ply", "empty.stl", "obj_empty.obj", "ply_empty_ascii.ply", "ply_empty_header.ply",
    "stl_empty_ascii.stl",
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["ply", "obj", "stl", "off"])
def test_every_format_gives_the_same_shape(tmp_path: Path, suffix: str) -> None:
    shape = ball(8, 12, 2, 0.2)
    path = tmp_path / f"one.{suffix}"
    trimesh.Trimesh(shape.vertices, shape.faces, process=False).export(path)
    read = read_shape(path)
    assert len(read.faces) == len(shape.faces)
    ours = read.vertices[read.faces].reshape(-1, 9)
    np.testing.assert_allclose(ours, shape.vertices[shape.faces].reshape(-1, 9), atol=1e-6)


def test_our_own_files_are_exact(tmp_path: Path, lumpy: Shape) -> None:
    write_ply(tmp_path / "one.ply", lumpy)
    read = read_shape(tmp_path / "one.ply")
    assert read.vertices.tobytes() == lumpy.vertices.tobytes()
    np.testing.assert_array_equal(read.faces, lumpy.faces)
    np.testing.assert_array_equal(read.vertex_colours, lumpy.vertex_colours)


def test_quads_and_points_and_face_colours(tmp_path: Path) -> None:
    (tmp_path / "quad.obj").write_text(SQUARE + "f 1 2 3 4\n")
    assert len(read_shape(tmp_path / "quad.obj").faces) == 2
    (tmp_path / "points.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n"
        "0 0 0 255 0 0\n1 0 0 0 255 0\n0 1 0 0 0 255\n"
    )
    cloud = read_shape(tmp_path / "points.ply")
    assert cloud.faces.shape == (0, 3)
    assert cloud.vertex_colours is not None
    assert cloud.vertex_colours.tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


def test_a_texture_beside_the_file(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0]]], dtype=np.uint8)).resize(
        (64, 64), Image.Resampling.NEAREST
    ).save(tmp_path / "skin.png")
    (tmp_path / "one.mtl").write_text("newmtl skin\nmap_Kd skin.png\n")
    (tmp_path / "one.obj").write_text(
        "mtllib one.mtl\nusemtl skin\n" + SQUARE.replace("0.5", "0")
        + "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"
    )  # fmt: skip
    shape = read_shape(tmp_path / "one.obj")
    assert shape.texture is not None
    picture = next(draw_views(shape, ZBuffer(64, (255, 255, 255)), Looks(views=1, size=64)))
    seen = picture.pixels[picture.seen].astype(int)
    assert (seen[:, 0] > seen[:, 1] + 50).mean() > 0.3, "red half"
    assert (seen[:, 1] > seen[:, 0] + 50).mean() > 0.3, "green half"
    (tmp_path / "skin.png").unlink()
    assert read_shape(tmp_path / "one.obj").texture is None


def test_vertices_counted_backwards(tmp_path: Path) -> None:
    (tmp_path / "one.obj").write_text(SQUARE + "vt 0 0\nf -4/-1 -3/-1 -2/-1\nv 5 5 5\nf -5 -3 -2 # far\n")
    assert read_shape(tmp_path / "one.obj").faces.tolist() == [[0, 1, 2], [0, 2, 3]]


def header(vertices: object, faces: object = 0, kind: str = "ascii") -> bytes:
    return (
        f"ply\nformat {kind} 1.0\nelement vertex {vertices}\nproperty float x\nproperty float y\n"
        f"property float z\nelement face {faces}\nproperty list uchar int vertex_indices\nend_header\n"
    ).encode()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.ply", b"", "empty"),
        ("a.obj", b"", "empty"),
        ("a.ply", header(1_000_000_000) + b"0 0 0\n", "claims"),
        ("a.ply", header(3, 1_000_000_000) + b"0 0 0\n0 0 1\n1 0 0\n", "claims"),
        ("a.ply", header(100, 0, "binary_little_endian") + b"\0" * 24, "claims"),
        ("a.ply", header(-1), "counts"),
        ("a.ply", header("many"), "counts"),
        ("a.ply", b"ply\nformat ascii 1.0\nelement vertex", "no end"),
        ("a.off", b"OFF\n1000000000 1000000000 0\n0 0 0\n", "claims"),
        ("a.off", b"OFF\n", "no counts"),
        ("a.stl", b"\0" * 80 + struct.pack("<I", 10**9) + b"\0" * 50, "claims"),
        ("a.stl", b"\0" * 20, "too short"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\n" + b"f 1 2 9\n", "outside|cannot be read"),
        ("a.obj", SQUARE.encode() + b"f 1 2 nan\n", "."),
        ("a.obj", SQUARE.encode().replace(b"0.5", b"nan") + b"f 1 2 3\nf 1 3 4\n", "NaN"),
        ("a.obj", b"v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", "one place"),
        ("a.obj", b"just some words\n", "no faces and no points|cannot be read"),
        ("a.ply", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "no mesh"),
        ("a.off", b"<html>not found</html>", "no OFF file"),
    ],
)
def test_bad_files_have_a_reason(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SkipInput, match=words) as caught:
        read_shape(path)
    assert "\n" not in caught.value.reason


def test_a_wrong_suffix_is_noted_and_read(tmp_path: Path) -> None:
    write_ply(tmp_path / "one.ply", ball(6, 8))
    shutil.copy(tmp_path / "one.ply", tmp_path / "one.stl")
    shape = read_shape(tmp_path / "one.stl")
    assert len(shape.faces) == len(ball(6, 8).faces)
    assert "PLY" in shape.notes[0]


@pytest.mark.parametrize("suffix", ["ply", "stl", "off", "obj"])
def test_cut_files_are_read_or_have_a_reason(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"one.{suffix}"
    mesh = ball(6, 8)
    trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(whole)
    content = whole.read_bytes()
    path = tmp_path / f"cut.{suffix}"
    refused = 0
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        path.write_bytes(content[: int(len(content) * share)])
        try:
            read_shape(path)
        except SkipInput:
            refused += 1
    assert refused >= (1 if suffix == "obj" else 6)


@settings(max_examples=150)
@given(
    suffix=st.sampled_from(["ply", "stl", "off", "obj"]),
    content=st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=60).map(lambda end: header(2, 1) + end),
        st.text(alphabet="vfnt 0123456789.-/\n", max_size=120).map(str.encode),
        st.text(alphabet="0123456789.- \n", max_size=80).map(lambda text: b"OFF\n" + text.encode()),
    ),
)
def test_noise_is_read_or_has_a_reason(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / f"noise.{suffix}"
    path.write_bytes(content)
    try:
        shape = read_shape(path)
    except SkipInput:
        return
    assert np.isfinite(shape.vertices).all()
    assert not len(shape.faces) or shape.faces.max() < len(shape.vertices)


def test_real_malformed_files(real_data: Path) -> None:
    """All of them are drawn but those that hold nothing, or whose faces lead nowhere."""
    refused = {}
    renderer = ZBuffer(96, (255, 255, 255))
    for path in sorted((real_data / "meshes" / "malformed").iterdir()):
        try:
            assert len(list(draw_views(read_shape(path), renderer, Looks(views=4, size=96)))) == 4
        except SkipInput as skip:
            refused[path.name] = skip.reason
    assert "outside" in refused.pop("int_vertex_super_simple.ply")
    assert set(refused) == NOTHING_IN, refused


def test_real_files_are_read_whole(real_data: Path) -> None:
    for path in sorted((real_data / "meshes").glob("[!m]*/*")):
        kind, _ = check_file(path)
        assert kind == path.suffix.lower().removeprefix(".")
        assert len(read_shape(path).faces) > 400
