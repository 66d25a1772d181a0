"""The fast renderer where OpenGL is at hand: VTK, off the screen, tried in a child process first."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from typing import Any

import numpy as np

from multimodal_search.errors import ProjectError, require
from multimodal_search.rendering.framing import frame
from multimodal_search.rendering.kernels import AMBIENT, FILL, FILL_LIGHT, KEY, KEY_LIGHT, PLAIN_GREY
from multimodal_search.rendering.model import Model
from multimodal_search.rendering.renderer import Picture
from multimodal_search.types import FloatArray

_WINDOW = "VTK_DEFAULT_OPENGL_WINDOW"
_EGL = "vtkEGLRenderWindow"
_PROBE_SECONDS = 120
_PROBE = """
import sys
sys.path[:] = sys.argv[1:]
import vtk
window = vtk.vtkRenderWindow()
window.SetOffScreenRendering(1); window.SetMultiSamples(0); window.SetSize(64, 64)
renderer = vtk.vtkRenderer(); window.AddRenderer(renderer)
source = vtk.vtkSphereSource(); mapper = vtk.vtkPolyDataMapper()
mapper.SetInputConnection(source.GetOutputPort()); actor = vtk.vtkActor(); actor.SetMapper(mapper)
renderer.AddActor(actor); window.Render()
pixels = vtk.vtkUnsignedCharArray(); window.GetPixelData(32, 32, 32, 32, 0, pixels, 0)
assert pixels.GetValue(0) > 100, "nothing was drawn"
words = [line.split(":", 1)[1].strip() for line in window.ReportCapabilities().splitlines()
         if line.startswith("OpenGL version string")]
print("drawn by", words[0] if words else "")
"""


class VtkRenderer:
    """See ``renderer.Renderer``. One window for all views; parallel projection, two lights, no MSAA."""

    name = "vtk"

    def __init__(self, side_px: int, background: tuple[int, int, int]) -> None:
        driver = probe()
        os.environ.setdefault(_WINDOW, _EGL)
        vtk = require("vtk", extra="vtk")
        self._vtk = vtk
        self._side_px = side_px
        self.version = f"{vtk.vtkVersion.GetVTKVersion()} ({driver})"
        self._scene = vtk.vtkRenderer()
        self._scene.SetBackground(*(one / 255 for one in background))
        self._scene.AutomaticLightCreationOff()
        self._scene.UseFXAAOff()
        for direction, strength in ((KEY_LIGHT, KEY), (FILL_LIGHT, FILL)):
            light = vtk.vtkLight()
            light.SetLightTypeToCameraLight()
            light.SetPosition(*direction)
            light.SetFocalPoint(0, 0, 0)
            light.SetIntensity(strength)
            self._scene.AddLight(light)
        self._scene.SetAmbient(1.0, 1.0, 1.0)
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.SetMultiSamples(0)
        self._window.SetSize(side_px, side_px)
        self._window.AddRenderer(self._scene)
        self._drawn: Model | None = None
        self._actor: Any = None

    def draw(self, model: Model, axes: FloatArray) -> Picture:
        """See ``renderer.Renderer.draw``."""
        if self._drawn is not model:
            self._show(model)
        framed = frame(model.points, axes, self._side_px)
        camera = self._scene.GetActiveCamera()
        centre = axes[0] * framed.middle[0] + axes[1] * framed.middle[1]
        camera.ParallelProjectionOn()
        camera.SetFocalPoint(*centre)
        camera.SetPosition(*(centre + 4.0 * axes[2]))
        camera.SetViewUp(*axes[1])
        camera.SetParallelScale(framed.half_side)
        camera.SetClippingRange(1.0, 8.0)
        if model.is_cloud:
            spacing_px = np.sqrt(max(framed.extent_px[0] * framed.extent_px[1], 1.0) / len(model.points))
            self._actor.GetProperty().SetPointSize(float(np.clip(1.5 * spacing_px, 2.0, self._side_px / 20)))
        self._window.Render()
        side = self._side_px
        pixels, depth = self._vtk.vtkUnsignedCharArray(), self._vtk.vtkFloatArray()
        self._window.GetPixelData(0, 0, side - 1, side - 1, 0, pixels, 0)
        self._window.GetZbufferData(0, 0, side - 1, side - 1, depth)
        to_numpy = _support().vtk_to_numpy
        colours = to_numpy(pixels).reshape(side, side, 3)[::-1].copy()
        return Picture(colours, to_numpy(depth).reshape(side, side)[::-1] < 1.0)

    def close(self) -> None:
        """Free the window."""
        self._window.Finalize()

    def _show(self, model: Model) -> None:
        vtk = self._vtk
        if self._actor is not None:
            self._scene.RemoveActor(self._actor)
        mapper = vtk.vtkPolyDataMapper()
        mapper.SetInputData(_poly_data(vtk, model))
        mapper.SetScalarVisibility(model.shape.texture is None)
        self._actor = vtk.vtkActor()
        self._actor.SetMapper(mapper)
        surface = self._actor.GetProperty()
        surface.SetColor(*([PLAIN_GREY / 255] * 3))
        surface.SetAmbient(AMBIENT)
        surface.SetDiffuse(1.0)
        surface.SetInterpolationToGouraud()
        if model.shape.texture is not None:
            self._actor.SetTexture(_texture(vtk, model.shape.texture))
        self._scene.AddActor(self._actor)
        self._drawn = model


def _poly_data(vtk: Any, model: Model) -> Any:
    """Each face with corners of its own, for normals that differ by face."""
    to_vtk = functools.partial(_support().numpy_to_vtk, deep=True)
    shape, data = model.shape, vtk.vtkPolyData()
    corners = np.arange(len(model.points)) if model.is_cloud else model.faces.ravel()
    points = vtk.vtkPoints()
    points.SetData(to_vtk(model.points[corners]))
    data.SetPoints(points)
    width = 1 if model.is_cloud else 3
    cells = vtk.vtkCellArray()
    numbers = _support().numpy_to_vtkIdTypeArray(np.arange(len(corners), dtype=np.int64), deep=True)
    cells.SetData(width, numbers)
    (data.SetVerts if model.is_cloud else data.SetPolys)(cells)
    data.GetPointData().SetNormals(to_vtk(np.ascontiguousarray(model.normals.reshape(-1, 3))))
    if shape.texture is not None and shape.uv is not None:
        data.GetPointData().SetTCoords(to_vtk(np.ascontiguousarray(shape.uv[corners])))
    elif shape.vertex_colours is not None:
        data.GetPointData().SetScalars(to_vtk(np.ascontiguousarray(shape.vertex_colours[corners])))
    elif shape.face_colours is not None and not model.is_cloud:
        data.GetPointData().SetScalars(to_vtk(np.repeat(shape.face_colours, 3, axis=0)))
    return data


def _texture(vtk: Any, pixels: Any) -> Any:
    height, width = pixels.shape[:2]
    image = vtk.vtkImageData()
    image.SetDimensions(width, height, 1)
    flat = np.ascontiguousarray(pixels[::-1].reshape(-1, 3))
    image.GetPointData().SetScalars(_support().numpy_to_vtk(flat, deep=True))
    texture = vtk.vtkTexture()
    texture.SetInputData(image)
    texture.InterpolateOn()
    texture.RepeatOn()
    return texture


def _support() -> Any:
    return require("vtkmodules.util.numpy_support", extra="vtk")


@functools.cache
def probe() -> str:
    """Draw a ball in a process of its own: without OpenGL, VTK ends its process at the first picture.

    Returns:
        What OpenGL says of itself: part of the renderer's version.

    Raises:
        MissingDependencyError: vtk is not installed.
        ProjectError: it cannot draw here; says which packages are missing.
    """
    require("vtkmodules", extra="vtk")
    environment = {**os.environ, _WINDOW: os.environ.get(_WINDOW, _EGL)}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, *sys.path],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout.rpartition("drawn by")[2].strip()
        words = done.stderr.strip().splitlines() or ["no message"]
        how = f"it ended with {done.returncode}; {words[-1][:200]}"
    except subprocess.TimeoutExpired:
        how = f"it took longer than {_PROBE_SECONDS} s"
    raise ProjectError(
        f"VTK cannot draw on this machine ({how}).",
        remedy="Debian and Ubuntu (Colab too): apt-get install libegl1 libgl1-mesa-dri; "
        "or --renderer zbuffer, which needs neither",
    )
