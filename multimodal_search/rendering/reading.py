"""Mesh files through trimesh. Runs in a worker process: what a file does here ends no job."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.errors import SkipInput, require
from multimodal_search.rendering.headers import check_file
from multimodal_search.rendering.obj_numbers import has_relative_numbers, with_absolute_numbers
from multimodal_search.rendering.shape import Colours, Shape, checked
from multimodal_search.types import FloatArray

_TEXTURE_PX = 1024  # finer than a view shows; larger textures would flicker from view to view
_TRIMESH_GREY = 102  # of materials that name no colour


def read_shape(path: Path) -> Shape:
    """The mesh or the points of a file, checked.

    Raises:
        SkipInput: it cannot be drawn, and why.
        MissingDependencyError: trimesh is not installed.
    """
    trimesh = require("trimesh", extra="render")
    logging.getLogger("trimesh").setLevel(logging.CRITICAL)
    try:
        kind, claimed = check_file(path)
        loaded = _load(path, kind, trimesh)
        shape = _shape_of(loaded, trimesh)
    except SkipInput:
        raise
    except MemoryError:
        raise SkipInput("reading it needs more memory than --memory-gb allows", again=True) from None
    except OSError as error:
        raise SkipInput(f"the file cannot be read: {error.strerror or error}", again=True) from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise SkipInput(f"the file cannot be read: {type(error).__name__}: {reason}") from error
    if len(shape.faces) < claimed:
        raise SkipInput(f"truncated: {len(shape.faces)} of {claimed} faces are there")
    if not len(shape.vertices):
        raise SkipInput("no faces and no points")
    return checked(_noting(shape, path, kind))


def _load(path: Path, kind: str, trimesh: Any) -> Any:
    options = {"file_type": kind, "process": False}
    if kind == "obj":
        content = path.read_bytes()
        if has_relative_numbers(content):
            resolver = trimesh.resolvers.FilePathResolver(str(path))
            absolute = io.BytesIO(with_absolute_numbers(content))
            return trimesh.load(absolute, resolver=resolver, maintain_order=True, **options)
        options["maintain_order"] = True
    return trimesh.load(str(path), **options)


def _noting(shape: Shape, path: Path, kind: str) -> Shape:
    if path.suffix.lower() == f".{kind}":
        return shape
    note = f"named {path.suffix}, but a {kind.upper()} file"
    return Shape(
        shape.vertices,
        shape.faces,
        shape.vertex_colours,
        shape.face_colours,
        shape.uv,
        shape.texture,
        (note,),
    )


def _shape_of(loaded: Any, trimesh: Any) -> Shape:
    """Of a mesh, a point cloud, lines, or a scene of these."""
    if isinstance(loaded, trimesh.Scene):
        parts = list(loaded.dump())
        meshes = [one for one in parts if isinstance(one, trimesh.Trimesh) and len(one.faces)]
        if len(meshes) == 1:
            return _of_mesh(meshes[0])
        if meshes:
            return _joined([_of_mesh(one, textured=False) for one in meshes])
        clouds = [_of_points(one) for one in parts]
        return _joined(clouds) if clouds else _of_points(None)
    if isinstance(loaded, trimesh.Trimesh) and len(loaded.faces):
        return _of_mesh(loaded)
    return _of_points(loaded)


def _of_mesh(mesh: Any, *, textured: bool = True) -> Shape:
    vertices = np.asarray(mesh.vertices, dtype=np.float64)
    faces = np.asarray(mesh.faces)
    if faces.size and (faces.min() < -(1 << 31) or faces.max() >= 1 << 31):
        raise SkipInput("faces point outside the vertices")
    vertex_colours, face_colours, uv, texture = None, None, None, None
    kind = getattr(mesh.visual, "kind", None)
    if kind == "texture":
        uv, texture = _texture(mesh.visual, len(vertices)) if textured else (None, None)
        if texture is None:
            vertex_colours = _without_texture(mesh.visual, len(vertices))
    elif kind == "vertex":
        vertex_colours = _colours(mesh.visual.vertex_colors, len(vertices))
    elif kind == "face":
        face_colours = _colours(mesh.visual.face_colors, len(faces))
    return Shape(vertices, faces.astype(np.int32), vertex_colours, face_colours, uv, texture)


def _texture(visual: Any, count: int) -> tuple[FloatArray | None, Colours | None]:
    """(uv, picture) where both are there and fit; trimesh draws one of 2 x 2 pixels where none is."""
    material = visual.material
    picture = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if picture is None or visual.uv is None or len(visual.uv) != count or max(picture.size) <= 2:
        return None, None
    picture = picture.convert("RGB")
    picture.thumbnail((_TEXTURE_PX, _TEXTURE_PX))
    uv = np.nan_to_num(np.asarray(visual.uv, dtype=np.float64), posinf=0.0, neginf=0.0)
    return np.clip(uv, -1e6, 1e6), np.array(picture, dtype=np.uint8)


def _without_texture(visual: Any, count: int) -> Colours | None:
    """The file's own colours of vertices, or the material's; none where trimesh made one up."""
    own = _colours(getattr(visual, "vertex_attributes", {}).get("color", ()), count)
    if own is not None:
        return own
    try:
        colours = _colours(visual.to_color().vertex_colors, count)
    except Exception:  # a material that names no colour breaks it
        return None
    made_up = colours is not None and (colours == _TRIMESH_GREY).all()
    return None if made_up else colours


def _of_points(loaded: Any) -> Shape:
    """A cloud; of lines and of faceless meshes, the places that they name."""
    vertices = getattr(loaded, "vertices", None)
    points = np.zeros((0, 3)) if vertices is None else np.asarray(vertices, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        points = points.reshape(len(points), -1)[:, :3] if points.size else np.zeros((0, 3))
        points = np.pad(points, ((0, 0), (0, 3 - points.shape[1])))
    colours = None
    if type(loaded).__name__ == "PointCloud" and len(getattr(loaded, "colors", ())) == len(points):
        colours = _colours(loaded.colors, len(points))
    return Shape(points, np.zeros((0, 3), dtype=np.int32), colours)


def _colours(values: Any, count: int) -> Colours | None:
    """(count, 3) where there are as many; transparency is ignored."""
    colours = np.asarray(values)
    if colours.ndim != 2 or len(colours) != count or colours.shape[1] < 3:
        return None
    return np.ascontiguousarray(colours[:, :3].astype(np.uint8))


def _joined(parts: list[Shape]) -> Shape:
    """One shape; parts without colours are grey where others have them."""
    offsets = np.cumsum([0, *(len(one.vertices) for one in parts[:-1])])
    faces = [one.faces + offset for one, offset in zip(parts, offsets.tolist(), strict=True)]
    colours = None
    if any(one.vertex_colours is not None for one in parts):
        grey = 200
        colours = np.concatenate(
            [
                np.full((len(one.vertices), 3), grey, dtype=np.uint8)
                if one.vertex_colours is None
                else one.vertex_colours
                for one in parts
            ]
        )
    return Shape(
        np.concatenate([one.vertices for one in parts]), np.concatenate(faces).astype(np.int32), colours
    )
