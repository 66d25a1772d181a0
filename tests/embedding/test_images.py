"""Whatever a picture file holds, it becomes upright RGB or a plain reason."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from multimodal_search.embedding.images import decode
from multimodal_search.errors import SkipInput


def gradient(width: int = 40, height: int = 30) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def reason(source: bytes | Path) -> str:
    with pytest.raises(SkipInput) as caught:
        decode(source)
    return caught.value.reason


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("RGB", "JPEG"),
        ("L", "JPEG"),
        ("CMYK", "JPEG"),
        ("CMYK", "TIFF"),
        ("1", "PNG"),
        ("P", "PNG"),
        ("P", "GIF"),
        ("LA", "PNG"),
        ("RGBA", "PNG"),
        ("RGBA", "WEBP"),
        ("I;16", "PNG"),
        ("I", "TIFF"),
        ("F", "TIFF"),
    ],
)
def test_every_mode_becomes_rgb_of_the_same_size_and_look(mode: str, kind: str) -> None:
    expected = gradient().convert("L") if mode in ("1", "L", "LA", "I", "I;16", "F") else gradient()
    if mode == "I;16":
        original = Image.fromarray(np.asarray(expected, dtype=np.uint16) * 257)
    else:
        original = expected.convert(mode)
    result = decode(saved(original, kind))
    assert (result.mode, result.size) == ("RGB", (40, 30))
    difference = np.asarray(result, dtype=float) - np.asarray(expected.convert("RGB"), dtype=float)
    # dithering, palettes, inks and JPEG change pixels, not the look
    assert abs(difference.mean()) < 12
    assert mode == "1" or np.abs(difference).mean() < 25


def test_progressive_jpeg() -> None:
    assert decode(saved(gradient(), "JPEG", progressive=True)).size == (40, 30)


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    pixels = np.array([[0, 257, 32_896, 65_535]], dtype=np.uint16)
    result = np.asarray(decode(saved(Image.fromarray(pixels), "PNG")))
    assert result[0, :, 0].tolist() == [0, 1, 128, 255]


def test_float_pixels_from_zero_to_one_and_without_a_stated_range() -> None:
    unit = np.array([[0.0, 0.5, 1.0, np.nan]], dtype=np.float32)
    assert np.asarray(decode(saved(Image.fromarray(unit), "TIFF")))[0, :, 0].tolist() == [0, 128, 255, 0]
    wide = np.array([[-1e6, 0.0, 1e6]], dtype=np.float32)
    assert np.asarray(decode(saved(Image.fromarray(wide), "TIFF")))[0, :, 0].tolist() == [0, 128, 255]


def test_a_float_picture_without_a_finite_pixel_is_skipped() -> None:
    pixels = np.full((4, 4), np.inf, dtype=np.float32)
    assert "finite" in reason(saved(Image.fromarray(pixels), "TIFF"))


def test_transparency_shows_white_and_not_the_hidden_colour() -> None:
    hidden = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert decode(saved(hidden, "PNG")).getpixel((0, 0)) == (255, 255, 255)
    keyed = Image.new("RGB", (4, 4), (0, 0, 0))
    assert decode(saved(keyed, "PNG", transparency=(0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    content = saved(gradient(), kind, exif=exif, **options)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    result = decode(content)
    assert result.size == ((30, 40) if orientation >= 5 else (40, 30))
    np.testing.assert_array_equal(np.asarray(result), np.asarray(expected))


def test_of_an_animation_the_first_frame() -> None:
    frames = [Image.new("RGB", (6, 6), colour) for colour in ("red", "green", "blue")]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(content).getpixel((3, 3)) == (255, 0, 0)


def test_a_file_and_its_bytes_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "ein Bild 写真.png"
    path.write_bytes(saved(gradient(), "PNG"))
    assert decode(path).tobytes() == decode(str(path)).tobytes() == decode(path.read_bytes()).tobytes()


def test_unusable_files_say_why(tmp_path: Path) -> None:
    assert reason(tmp_path / "none.jpg") == "image missing"
    assert reason(tmp_path) == "not a regular file"
    (tmp_path / "empty.jpg").touch()
    assert "empty" in reason(tmp_path / "empty.jpg")
    assert "empty" in reason(b"")
    assert "not an image" in reason(b"<html>404</html>")
    assert "Git LFS" in reason(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    assert "truncated" in reason(saved(gradient(400, 300), "JPEG")[:2000])
    assert "truncated" in reason(saved(gradient(400, 300), "PNG")[:2000])
    assert "too thin" in reason(saved(Image.new("L", (1, 500)), "PNG"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in the file system")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(tmp_path / "pipe.jpg") == "not a regular file"


def test_postscript_never_starts_ghostscript() -> None:
    assert "not an image" in reason(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")


@pytest.mark.parametrize("pillow_limit", [None, 400_000 * 400_000, 10])
def test_a_bomb_is_known_from_its_header_whatever_pillow_allows(
    pillow_limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillow_limit)  # the nuScenes devkit sets the second
    content = bytearray(saved(Image.new("L", (8, 8)), "BMP"))
    content[18:26] = (60_000).to_bytes(4, "little") * 2
    assert "decompression bomb" in reason(bytes(content))


def test_the_limit_can_be_lowered() -> None:
    content = saved(gradient(), "PNG")
    assert decode(content, max_pixels=1200).size == (40, 30)
    with pytest.raises(SkipInput, match="1199"):
        decode(content, max_pixels=1199)


def test_threads_do_not_disturb_each_other() -> None:
    good, bad = saved(gradient(), "JPEG"), saved(gradient(400, 300), "JPEG")[:1500]
    limit = Image.MAX_IMAGE_PIXELS

    def one(index: int) -> str:
        try:
            return decode(bad if index % 2 else good).mode
        except SkipInput as skip:
            return skip.reason.split(" (")[0]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(one, range(200)))
    assert set(results[::2]) == {"RGB"}
    assert set(results[1::2]) == {"the image is truncated"}
    assert limit == Image.MAX_IMAGE_PIXELS


def mode_or_reason(content: bytes) -> str:
    """Any other exception is a failure of the test that calls."""
    try:
        return decode(content, max_pixels=1_000_000).mode
    except SkipInput as skip:
        return skip.reason


WHOLE = {
    kind: saved(gradient(), kind) for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "ICO")
}


@settings(max_examples=150)
@given(
    kind=st.sampled_from(sorted(WHOLE)),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=12),
    kept=st.floats(0.05, 1),
)
def test_damage_gives_a_picture_or_a_reason(kind: str, changes: list[tuple[float, int]], kept: float) -> None:
    content = bytearray(WHOLE[kind])
    for place, value in changes:
        content[int(place * len(content))] = value
    assert mode_or_reason(bytes(content[: int(kept * len(content))]))


@settings(max_examples=60)
@given(st.binary(max_size=300))
def test_noise_gives_a_reason(content: bytes) -> None:
    assert mode_or_reason(content)


_ALL_OF_A_FOLDER = """
import json, sys
from pathlib import Path
from PIL import Image
from multimodal_search.embedding.images import decode
from multimodal_search.errors import SkipInput
folder, lifted = Path(sys.argv[1]), sys.argv[2] == "lifted"
if lifted:
    Image.MAX_IMAGE_PIXELS = 400000 * 400000
result = {}
for entry in json.loads((folder / "MANIFEST.json").read_text()):
    try:
        image = decode(folder / entry["file"])
        result[entry["file"]] = [image.mode, *image.size]
    except SkipInput as skip:
        result[entry["file"]] = skip.reason
print(json.dumps(result))
"""


@pytest.mark.parametrize("pillow_limit", ["default", "lifted"])
def test_the_tricky_collection_decodes_or_says_why_without_a_word_on_stderr(
    pillow_limit: str, real_data: Path
) -> None:
    folder = real_data / "images_tricky"
    done = subprocess.run(
        [sys.executable, "-c", _ALL_OF_A_FOLDER, str(folder), pillow_limit],
        capture_output=True,
        text=True,
        timeout=120,  # one of the files once made a decoder loop
        check=True,
    )
    assert done.stderr == ""
    results = json.loads(done.stdout)
    for entry in json.loads((folder / "MANIFEST.json").read_text()):
        result = results[entry["file"]]
        if entry.get("load") == "ok":
            width, height = entry["size"]
            turned = (entry["orientation"] or 1) >= 5
            assert result == ["RGB", *((height, width) if turned else (width, height))], entry["file"]
        else:
            assert isinstance(result, str), entry["file"]
    assert "decompression bomb" in results["pillow/decompression_bomb.gif"]
    assert "truncated" in results["libvips/truncated.jpg"]
