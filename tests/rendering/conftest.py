"""Small specimens for tests of rendering."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from multimodal_search.rendering.shape import Shape
from multimodal_search.rendering.shapes import ball, write_ply

# A specimen of this name does to its worker what a broken library would.
TROUBLE = """
import json, os, signal, sys, time
sys.path[:] = json.loads(sys.argv.pop())
from multimodal_search.rendering import views, worker
real = views.render_file
def render_file(file, out, specimen, renderer, looks):
    if "segfault" in specimen:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in specimen:
        time.sleep(600)
    if "hungry" in specimen:
        return bytearray(6_000_000_000)
    if "full-disk" in specimen:
        raise OSError(28, "No space left on device", str(out))
    return real(file, out, specimen, renderer, looks)
views.render_file = render_file
worker.main()
"""


@pytest.fixture
def trouble() -> str:
    """Code of a worker that some names break."""
    return TROUBLE


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    """Three specimens in two categories; two have one name."""
    folder = tmp_path / "meshes"
    for place in ("bones/a", "bones/b", "shells/a"):
        path = folder / f"{place}.ply"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_ply(path, ball(10, 16, 2, 0.2))
    return folder


@pytest.fixture
def lumpy() -> Shape:
    """A small closed surface, coloured, without any symmetry."""
    generator = np.random.default_rng(3)
    base = ball(14, 20, 3, 0.2)
    vertices = base.vertices * [1.0, 0.7, 1.3] + generator.normal(scale=0.02, size=base.vertices.shape)
    colours = generator.integers(0, 256, (len(vertices), 3), dtype=np.uint8)
    return Shape(vertices, base.faces, colours)
