"""Photo-like pictures for speed measurements: as heavy to decode as a camera's, drawn from a seed.

A picture is a sky and a road with perspective, cars and signs with hard edges, and texture whose spectrum
falls with frequency as a photo's does (amplitude about 1/f**1.2; Field 1987,
https://doi.org/10.1364/JOSAA.4.002379). The strength of the texture is set so that a 1600 x 900 JPEG of
quality 80 takes 100 to 250 KB, as nuScenes' and other driving cameras' do: what a decoder pays for is the
number of coefficients in the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

_TEXTURE_PX = 2048
_QUALITY = 80  # has the quantisation tables of the files of nuScenes


def write_photos(
    folder: Path, count: int, size_px: tuple[int, int] = (1600, 900), suffix: str = ".jpg", seed: int = 0
) -> Path:
    """``count`` different pictures as ``folder/NNNNN.jpg`` (or .png); those that are there stay.

    Args:
        size_px: (width, height).
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [folder / f"{index:05d}{suffix}" for index in range(count)]
    missing = [index for index, name in enumerate(names) if not name.exists()]
    if missing:
        textures = [_texture(np.random.default_rng((seed, layer))) for layer in range(4)]
        for index in missing:
            picture = _photo(np.random.default_rng((seed, 1000 + index)), textures).resize(size_px)
            picture.save(names[index], quality=_QUALITY)
    return folder


def break_some(folder: Path, every: int = 20) -> int:
    """Each ``every``-th picture is cut off, emptied or made text, in turn; returns how many."""
    victims = sorted(folder.iterdir())[::every]
    for turn, file in enumerate(victims):
        content = file.read_bytes()
        file.write_bytes((content[: len(content) // 3], b"", b"no picture at all")[turn % 3])
    return len(victims)


def _texture(random: np.random.Generator) -> npt.NDArray[np.float32]:
    """(2048, 2048) noise, mean 0, deviation 1, amplitude falling with 1/f**1.2."""
    side = _TEXTURE_PX
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = np.inf
    phases = np.exp(2j * np.pi * random.random(frequency.shape))
    noise = np.fft.irfft2(phases / frequency**1.2, s=(side, side))
    return np.asarray(noise / noise.std(), dtype=np.float32)


def _photo(random: np.random.Generator, textures: list[npt.NDArray[np.float32]]) -> Image.Image:
    width, height = 1600, 900
    scene = np.asarray(_scene(random, width, height), dtype=np.float32)
    light = _crop(random, textures[0], width, height) * random.uniform(10, 16)
    fine = _crop(random, textures[1], width, height)
    light += np.where(np.arange(height)[:, None] > height * 0.45, fine * random.uniform(1, 4), 0)
    tints = [_crop(random, texture, width, height) * 3 for texture in textures[2:]]
    scene += light[..., None]
    scene[..., 0] += tints[0]
    scene[..., 2] += tints[1]
    return Image.fromarray(np.clip(scene, 0, 255).astype(np.uint8))


def _crop(
    random: np.random.Generator, texture: npt.NDArray[np.float32], width: int, height: int
) -> npt.NDArray[np.float32]:
    top, left = (int(random.integers(0, _TEXTURE_PX - side)) for side in (height, width))
    cut = texture[top : top + height, left : left + width]
    return cut[:, ::-1] if random.random() < 0.5 else cut


def _scene(random: np.random.Generator, width: int, height: int) -> Image.Image:
    """Sky, road, buildings, cars and lane markings, in flat colours."""
    horizon = int(height * random.uniform(0.4, 0.55))
    sky = tuple(int(value) for value in random.integers(120, 220, 3))
    image = Image.new("RGB", (width, height), sky)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, horizon, width, height), fill=tuple(int(v) for v in random.integers(60, 110, 3)))
    for _ in range(int(random.integers(10, 25))):
        left, wide, high = random.integers(0, width), random.integers(30, 220), random.integers(40, horizon)
        colour = tuple(int(value) for value in random.integers(40, 200, 3))
        draw.rectangle((int(left), horizon - int(high), int(left + wide), horizon + 10), fill=colour)
        for row in range(horizon - int(high) + 8, horizon, 24):
            draw.line((int(left), row, int(left + wide), row), fill=(30, 30, 40), width=4)
    for lane in np.linspace(-1.5, 2.5, 5):
        draw.line((width // 2, horizon, int(width * lane), height), fill=(230, 230, 220), width=8)
    for _ in range(int(random.integers(3, 10))):
        left, top = int(random.integers(0, width)), int(random.integers(horizon, height - 120))
        side = int(40 + (top - horizon) * 0.6)
        body = tuple(int(value) for value in random.integers(0, 255, 3))
        draw.rounded_rectangle((left, top, left + 2 * side, top + side), radius=12, fill=body)
        draw.rectangle((left + 12, top + 8, left + 2 * side - 12, top + side // 3), fill=(20, 25, 30))
        draw.ellipse((left + 8, top + side - 12, left + 32, top + side + 12), fill=(10, 10, 10))
    return image
