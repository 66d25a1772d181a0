"""VTK where OpenGL is at hand draws what the z-buffer draws; where it is not, says what is missing."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal_search.errors import ProjectError
from multimodal_search.rendering import vtk_renderer
from multimodal_search.rendering.cameras import cameras
from multimodal_search.rendering.model import prepare
from multimodal_search.rendering.shape import Shape
from multimodal_search.rendering.shapes import CLASSES
from multimodal_search.rendering.zbuffer import ZBuffer

pytest.importorskip("vtk")


@pytest.fixture(scope="module")
def renderer() -> vtk_renderer.VtkRenderer:
    try:
        return vtk_renderer.VtkRenderer(256, (255, 255, 255))
    except ProjectError as error:
        pytest.skip(f"no OpenGL here: {error.what}")


@pytest.mark.parametrize("name", ["tooth", "shell", "ring"])
def test_silhouettes_and_light_agree(renderer: vtk_renderer.VtkRenderer, name: str) -> None:
    ready = prepare(CLASSES[name](np.random.default_rng(0)))
    for axes in cameras(3):
        ours, theirs = ZBuffer(256, (255, 255, 255)).draw(ready, axes), renderer.draw(ready, axes)
        both, either = (ours.seen & theirs.seen).sum(), (ours.seen | theirs.seen).sum()
        assert both / either > 0.99
        inside = ours.seen & theirs.seen
        assert np.abs(ours.pixels[inside].astype(int) - theirs.pixels[inside]).mean() < 6


def test_colours_and_points(renderer: vtk_renderer.VtkRenderer, lumpy: Shape) -> None:
    for shape in (lumpy, Shape(lumpy.vertices, lumpy.faces[:0], lumpy.vertex_colours)):
        picture = renderer.draw(prepare(shape), cameras(1)[0])
        assert picture.seen.mean() > 0.05
        assert np.ptp(picture.pixels[picture.seen].astype(int), axis=0).min() > 60


def test_a_machine_without_opengl_is_told_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on bare Debian: the first picture ends the process."""
    monkeypatch.setattr(vtk_renderer, "_PROBE", "import os; os.kill(os.getpid(), 11)")
    vtk_renderer.probe.cache_clear()
    try:
        with pytest.raises(ProjectError) as caught:
            vtk_renderer.probe()
    finally:
        vtk_renderer.probe.cache_clear()
    assert "apt-get install libegl1 libgl1-mesa-dri" in str(caught.value)
    assert "--renderer zbuffer" in str(caught.value)
