"""Perceptual hashes against ImageHash itself, and how far the quick way moves them."""

from __future__ import annotations

import io
import sys
from itertools import combinations
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from multimodal_search.embedding.hashing import phash
from multimodal_search.embedding.images import decode
from multimodal_search.errors import MissingDependencyError
from multimodal_search.sources.sample.render import render
from multimodal_search.sources.sample.world import make_scenes

MOST_BITS = 2


def jpegs() -> list[bytes]:
    contents = []
    for index, one in enumerate(make_scenes(12, 3)):
        picture = render(one).resize((1600, 900), Image.Resampling.BICUBIC)
        noise = np.random.default_rng(index).normal(0, 6, (900, 1600, 3))
        noisy = (np.asarray(picture, dtype=float) + noise).clip(0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noisy).save(buffer, "JPEG", quality=90)
        contents.append(buffer.getvalue())
    return contents


def bits(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


def test_the_string_is_the_library_s_own() -> None:
    for content in jpegs()[:3]:
        picture = decode(content)
        assert phash(picture) == str(imagehash.phash(picture))
        assert len(phash(picture)) == 16


def test_a_reduced_picture_hashes_nearly_alike() -> None:
    contents = jpegs()
    whole = [phash(decode(one)) for one in contents]
    for content, exact in zip(contents, whole, strict=True):
        reduced = decode(content, at_least_px=(269, 269))
        assert np.asarray(reduced).shape == (450, 800, 3)
        assert bits(phash(reduced), exact) <= MOST_BITS
    assert np.median([bits(a, b) for a, b in combinations(whole, 2)]) > 10 * MOST_BITS


def test_real_photos_too(real_data: Path) -> None:
    for path in sorted((real_data / "driving_photos").rglob("*.jpg"))[::9]:
        assert bits(phash(decode(path, at_least_px=(269, 269))), phash(decode(path))) <= MOST_BITS, path


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagehash", None)
    with pytest.raises(MissingDependencyError, match="bulk"):
        phash(Image.new("RGB", (8, 8)))
