"""The quick way through a JPEG: the same outcome as the exact one, nearly the same pixels, fewer of them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from multimodal_search.embedding.images import decode
from multimodal_search.embedding.jpeg import divisor
from multimodal_search.errors import SkipInput

ENOUGH = (64, 64)


def scene(width: int = 400, height: int = 225, mode: str = "RGB") -> Image.Image:
    """Smooth, with edges: a picture, not noise."""
    y, x = np.mgrid[0:height, 0:width] / height
    pixels = np.stack([x * 0.5, y, (np.sin(9 * x) * np.cos(7 * y) + 1) / 2], axis=-1) * 255
    pixels[height // 3 : height // 2, width // 4 : width // 2] = (240, 40, 30)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(mode)


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **{"quality": 90, **options})
    return buffer.getvalue()


def outcome(content: bytes | Path, at_least_px: tuple[int, int] | None) -> np.ndarray | str:
    try:
        return np.asarray(decode(content, at_least_px=at_least_px, max_pixels=1_000_000))
    except SkipInput as skip:
        return skip.reason


def seen(pixels: np.ndarray) -> np.ndarray:
    """What a small model sees of it."""
    return np.asarray(Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC), dtype=float)


def assert_same(content: bytes | Path) -> None:
    exact, quick = outcome(content, None), outcome(content, ENOUGH)
    if isinstance(exact, str):
        assert quick == exact
        return
    assert isinstance(quick, np.ndarray), quick
    assert all(
        side >= min(least, whole)
        for side, least, whole in zip(quick.shape, ENOUGH, exact.shape, strict=False)
    )
    assert np.abs(seen(quick) - seen(exact)).mean() < 3


@pytest.mark.parametrize(
    ("size_px", "at_least_px", "by"),
    [
        ((900, 1600), (225, 225), 4),
        ((900, 1600), (226, 226), 2),
        ((901, 1600), (226, 226), 4),
        ((900, 1600), (112, 201), 4),
        ((900, 1600), (113, 200), 8),
        ((100, 100), (60, 60), 1),
        ((100, 100), (600, 600), 1),
    ],
)
def test_the_largest_divisor_that_still_covers(
    size_px: tuple[int, int], at_least_px: tuple[int, int], by: int
) -> None:
    assert divisor(size_px, at_least_px) == by
    height, width = size_px
    found = decode(saved(scene(width, height)), at_least_px=at_least_px)
    assert np.asarray(found).shape == (-(-height // by), -(-width // by), 3)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 2, "quality": 40}]
)
def test_kinds_of_jpeg(mode: str, options: dict[str, object]) -> None:
    assert_same(saved(scene(mode=mode), **options))


def test_without_a_reduction_the_pixels_are_the_same() -> None:
    content = saved(scene(80, 70))
    quick = decode(content, at_least_px=ENOUGH)
    assert isinstance(quick, np.ndarray)
    np.testing.assert_array_equal(quick, np.asarray(decode(content)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_same(saved(scene(), exif=exif))


@pytest.mark.parametrize("progressive", [False, True])
def test_cut_anywhere_it_is_skipped_for_the_same_reason(progressive: bool) -> None:
    content = saved(scene(160, 130), progressive=progressive)
    for kept in [*range(2, len(content), 37), *range(len(content) - 6, len(content))]:
        assert_same(content[:kept])
    assert "truncated" in str(outcome(content[: len(content) * 2 // 3], ENOUGH))


@settings(max_examples=150)
@given(
    progressive=st.booleans(),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_damage_has_the_same_outcome(progressive: bool, changes: list[tuple[float, int]]) -> None:
    content = bytearray(saved(scene(160, 130), progressive=progressive))
    for place, value in changes:
        content[int(place * len(content))] = value
    exact, quick = outcome(bytes(content), None), outcome(bytes(content), ENOUGH)
    assert isinstance(quick, str) == isinstance(exact, str)
    if isinstance(exact, str):
        assert quick == exact


def test_a_file_is_read_like_its_bytes_and_a_missing_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "写真 1.jpg"
    path.write_bytes(saved(scene()))
    np.testing.assert_array_equal(
        decode(path, at_least_px=ENOUGH), decode(path.read_bytes(), at_least_px=ENOUGH)
    )
    assert outcome(tmp_path / "none.jpg", ENOUGH) == "image missing"
    assert outcome(tmp_path, ENOUGH) == "not a regular file"
    assert "empty" in str(outcome(b"", ENOUGH))


def test_a_bomb_is_known_before_it_is_decoded() -> None:
    with pytest.raises(SkipInput, match="decompression bomb"):
        decode(saved(scene()), at_least_px=ENOUGH, max_pixels=1000)


def test_the_tricky_collection_has_the_same_outcome_both_ways(real_data: Path) -> None:
    folder = real_data / "images_tricky"
    entries = json.loads((folder / "MANIFEST.json").read_text())
    for entry in entries:
        exact, quick = outcome(folder / entry["file"], None), outcome(folder / entry["file"], ENOUGH)
        assert isinstance(exact, str) == isinstance(quick, str), entry["file"]
        if isinstance(exact, str):
            assert isinstance(quick, str)
            # a decoder's own words differ between a file and its bytes
            assert exact.partition(" (")[0] == quick.partition(" (")[0]
        else:
            assert isinstance(quick, np.ndarray)
            assert np.abs(seen(quick) - seen(exact)).mean() < 3, entry["file"]
            turned = exact.shape[0] > exact.shape[1]
            assert turned == (quick.shape[0] > quick.shape[1]), entry["file"]
