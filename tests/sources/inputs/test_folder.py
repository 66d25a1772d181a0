"""A folder of pictures: every one, once, in one order, whatever else lies there."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search import storage
from multimodal_search.errors import DataError
from multimodal_search.sources.inputs import Inputs
from multimodal_search.sources.inputs.listing import list_images
from multimodal_search.types import Modality

Opened = Callable[..., Inputs]


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def ids(inputs: Inputs) -> list[str]:
    return [one.id for one in inputs]


def test_pictures_in_the_order_of_path_components(tmp_path: Path, opened: Opened) -> None:
    # by whole paths "a.jpg" < "a/z.jpg" and "a-b/1.jpg" < "a/z.jpg"; by components the folder "a" is first
    make(tmp_path, "a.jpg", "a/z.jpg", "a-b/1.jpg", "b.JPEG", "a/b/c.png", "雨/é.webp", "Z.gif")
    inputs = opened(image_dir=str(tmp_path))
    expected = ["Z.gif", "a/b/c.png", "a/z.jpg", "a-b/1.jpg", "a.jpg", "b.JPEG", "雨/é.webp"]
    assert ids(inputs) == expected == sorted(expected, key=lambda path: path.encode().split(b"/"))
    assert ids(inputs) == ids(opened(image_dir=str(tmp_path))) == expected
    assert inputs.count == 7
    assert (inputs.kind, inputs.root, inputs.modality) == ("images", str(tmp_path), Modality.IMAGE)


def test_locations_and_keys(tmp_path: Path, opened: Opened) -> None:
    make(tmp_path, "sub/a.jpg")
    (one,) = opened(image_dir=str(tmp_path))
    assert one.location == str(tmp_path / "sub/a.jpg")
    assert one.key == storage.content_key(tmp_path / "sub/a.jpg")


def test_a_relative_folder(tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "pictures/a.jpg")
    monkeypatch.chdir(tmp_path)
    assert [one.location for one in opened(image_dir="pictures/")] == [str(tmp_path / "pictures/a.jpg")]


def test_files_are_looked_at_as_their_turn_comes(tmp_path: Path, opened: Opened) -> None:
    make(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    inputs = iter(opened(image_dir=str(tmp_path)))
    next(inputs)
    (tmp_path / "b.jpg").write_bytes(b"changed after the listing")
    (tmp_path / "c.jpg").unlink()
    b, c = inputs
    assert b.key.startswith("25:")
    assert (c.id, c.key) == ("c.jpg", "")  # reading it says that it is gone


def test_other_files_are_counted_and_hidden_ones_left_out(
    tmp_path: Path, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    make(
        tmp_path,
        "a.jpg",
        "notes.txt",
        "b/list.TXT",
        "jpg",
        ".jpg",
        ".hidden/x.jpg",
        "__MACOSX/._a.jpg",
        "._a.jpg",
    )
    os.mkfifo(tmp_path / "pipe.jpg")
    with caplog.at_level("INFO"):
        assert ids(opened(image_dir=str(tmp_path))) == ["a.jpg"]
    assert "3 other files (2 .txt, 1 without suffix) left out" in caplog.text


def test_every_suffix_that_is_decoded(tmp_path: Path, opened: Opened) -> None:
    ends = [
        "jpg",
        "jpeg",
        "png",
        "webp",
        "gif",
        "bmp",
        "tif",
        "tiff",
        "ppm",
        "pgm",
        "qoi",
        "avif",
        "jp2",
        "j2k",
        "tga",
        "ico",
    ]
    make(tmp_path, *(f"{end}.{end}" for end in ends), *(f"{end}.{end.upper()}" for end in ends))
    assert opened(image_dir=str(tmp_path)).count == 2 * len(ends)


def test_links_to_files_and_outer_folders_but_no_loops(tmp_path: Path, opened: Opened) -> None:
    outside = make(tmp_path / "outside", "far/x.jpg", "y.jpg")
    root = make(tmp_path / "root", "a.jpg", "sub/b.jpg", ".store/c.jpg")
    (root / "link.jpg").symlink_to(outside / "y.jpg")
    (root / "gone.jpg").symlink_to(outside / "none.jpg")
    (root / "sub/up").symlink_to(root)
    (root / "again").symlink_to(root / "sub")
    (root / "store").symlink_to(root / ".store")
    (root / "far").symlink_to(outside)
    (root / "far2").symlink_to(outside)
    (outside / "back").symlink_to(root)
    (outside / "far/self").symlink_to(outside)
    inputs = opened(image_dir=str(root))
    far, other = sorted(("far", "far2"))
    found = ids(inputs)
    assert [one for one in found if not one.startswith("far")] == [
        "a.jpg",
        "link.jpg",
        "store/c.jpg",
        "sub/b.jpg",
    ]
    assert sum(one.endswith(("far/x.jpg", "/y.jpg")) for one in found) == 2
    assert len({one.partition("/")[0] for one in found if one.startswith((far, other))}) == 1
    assert [one.id for one in inputs.failures] == ["gone.jpg"]
    assert "leads nowhere" in inputs.failures[0].reason


def test_names_that_are_not_utf8(tmp_path: Path, opened: Opened) -> None:
    make(tmp_path, "a.jpg", "new\nline.jpg")
    for raw in (b"bad\xff.jpg", b"dir\xfe/inner.jpg"):
        path = os.path.join(os.fsencode(tmp_path), raw)  # noqa: PTH118
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        with open(path, "wb"):  # noqa: PTH123
            pass
    inputs = opened(image_dir=str(tmp_path))
    assert ids(inputs) == ["a.jpg", "new\nline.jpg"]
    assert sorted(one.id for one in inputs.failures) == ["bad\\xff.jpg", "dir\\xfe"]
    assert ids(inputs) == ids(inputs)
    assert len(inputs.failures) == 2


def test_an_unreadable_folder_below(tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a/1.jpg", "b/2.jpg", "c/3.jpg")
    real = os.scandir

    def scandir(path: Any) -> Any:  # permission bits do not bind root
        if os.fsencode(path).rstrip(b"/").endswith(b"/b"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    inputs = opened(image_dir=str(tmp_path))
    assert ids(inputs) == ["a/1.jpg", "c/3.jpg"]
    assert [(one.id, one.reason) for one in inputs.failures] == [
        ("b", "the folder cannot be read: Permission denied")
    ]

    monkeypatch.setattr(os, "scandir", lambda path: (_ for _ in ()).throw(PermissionError(13, "denied")))
    with pytest.raises(DataError, match="cannot be read"):
        next(iter(opened(image_dir=str(tmp_path))))


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], "nothing"),
        (["a.txt", "b.txt", "c.pdf"], "3 other files (2 .txt, 1 .pdf)"),
    ],
)
def test_nothing_to_embed_says_what_is_there(
    tmp_path: Path, opened: Opened, names: list[str], told: str
) -> None:
    make(tmp_path, *names)
    with pytest.raises(DataError) as caught:
        next(iter(opened(image_dir=str(tmp_path))))
    assert told in str(caught.value)


def test_a_folder_that_is_none(tmp_path: Path, opened: Opened) -> None:
    make(tmp_path, "file.jpg")
    with pytest.raises(DataError, match="is a file"):
        next(iter(opened(image_dir=str(tmp_path / "file.jpg"))))
    with pytest.raises(DataError, match="does not exist") as caught:
        next(iter(opened(image_dir=str(tmp_path / "no" / "where"))))
    assert f"(what exists of it: {tmp_path})" in str(caught.value)


def test_deeper_than_python_recurses(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    depth = 1500
    for _ in range(depth):  # the whole path is longer than one call to the system may name
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    make(tmp_path, "z.jpg")
    try:
        found = list_images(str(tmp_path))
    finally:  # pytest itself recurses when it clears old folders, and cannot clear this one
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)
    assert list(found) == ["z.jpg"]
    assert len(found.failures) <= 1  # where a path is too long for the system, the rest is a failure


_NAMES = st.lists(
    st.lists(st.text("aA.-_é/"[:6], min_size=1, max_size=3), min_size=1, max_size=3).map(
        lambda parts: "/".join([*(f"{part}d" for part in parts[:-1]), f"{parts[-1]}.jpg"])
    ),
    min_size=1,
    max_size=12,
    unique=True,
)


@given(_NAMES)
@settings(max_examples=60)
def test_any_tree(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    root = make(tmp_path_factory.mktemp("tree"), *names)
    visible = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
    found = list_images(str(root))
    assert list(found) == sorted(visible, key=lambda name: name.encode().split(b"/"))
    assert found.count == len(visible)


def test_views_by_folder_id_and_number(
    tmp_path: Path, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    make(
        tmp_path, "b/x_view1.png", "b/x_view10.png", "b/x_view2.png", "b/x_y_view00.png", "a_view00.jpg",
        "a_b_view00.jpg", "c.png", "c_view.png", "readme.txt", "b/deep/q_view_view03.webp", "_view00.png",
    )  # fmt: skip
    make(tmp_path, "b/x_view02.png")
    inputs = opened(image_dir=str(tmp_path), views=True)
    with caplog.at_level("INFO"):
        assert ids(inputs) == [
            "a_view00.jpg", "a_b_view00.jpg", "b/x_view1.png", "b/x_view02.png", "b/x_view10.png",
            "b/x_y_view00.png", "b/deep/q_view_view03.webp",
        ]  # fmt: skip
    assert "4 other files (3 .png, 1 .txt)" in caplog.text
    assert [one.id for one in inputs.failures] == ["b/x_view2.png"]
    assert "x_view02.png is view 2 already" in inputs.failures[0].reason
    assert inputs.kind == "views"


def test_no_views(tmp_path: Path, opened: Opened) -> None:
    make(tmp_path, "a.png")
    with pytest.raises(DataError, match="<id>_viewNN"):
        next(iter(opened(image_dir=str(tmp_path), views=True)))


@pytest.mark.slow
def test_many_files_in_one_folder_cost_little(tmp_path: Path) -> None:
    """A name costs its bytes and one more."""
    count = 200_000
    for number in range(count):
        os.close(os.open(tmp_path / f"image_{number * 7919 % count:07d}.jpg", os.O_CREAT | os.O_WRONLY))
    found = list_images(str(tmp_path))
    assert found.count == count
    assert sum(len(run.names) for run in found.runs) == count * len("image_0000000.jpg\0")
