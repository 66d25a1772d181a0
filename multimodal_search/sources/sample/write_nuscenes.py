"""The sample world as a nuScenes tree that the real devkit opens: tables, pictures, a map, CAN bus files."""

from __future__ import annotations

import io
import json
from pathlib import Path

from PIL import Image

from multimodal_search.sources.sample.can_bus import messages
from multimodal_search.sources.sample.nuscenes_names import scene_names
from multimodal_search.sources.sample.nuscenes_tables import Tables
from multimodal_search.sources.sample.output_folder import claim, make_folder, put_missing, with_progress
from multimodal_search.sources.sample.render import SIZE_PX, jpeg, render
from multimodal_search.sources.sample.texts import descriptions
from multimodal_search.sources.sample.world import DURATION_SECONDS, SampleScene, make_scenes
from multimodal_search.storage import write_json

KEYFRAME_SECONDS = 0.5
_MAP_FILE = "maps/sample.png"


def write_nuscenes(
    out: str | Path,
    *,
    scenes: int,
    seed: int,
    cameras: tuple[str, ...],
    progress: bool = True,
    version: str = "v1.0-mini",
    keyframe_seconds: float = KEYFRAME_SECONDS,
) -> Path:
    """Write ``<version>/*.json``, ``samples/<camera>/``, ``can_bus/`` and ``maps/``; the tables come last.

    A scene's description is its first, English one. Scene names are real ones (``nuscenes_names``).

    Args:
        version: name of the tables' folder.
        keyframe_seconds: between keyframes; nuScenes has two a second.

    Raises:
        DataError: the folder holds something else.
        OutputError: a file cannot be written.
    """
    parameters = {"format": "nuscenes", "scenes": scenes, "seed": seed, "cameras": list(cameras)}
    folder = claim(out, {**parameters, "tables": version, "keyframe_seconds": keyframe_seconds})
    for camera in cameras:
        make_folder(folder / "samples" / camera)
    can_folder = make_folder(folder / "can_bus")
    put_missing(make_folder(folder / "maps") / Path(_MAP_FILE).name, _map_png)
    count = int(DURATION_SECONDS / keyframe_seconds)
    tables = Tables(seed, cameras, SIZE_PX, tuple(number * keyframe_seconds for number in range(count)))
    tables.add_fixed()
    names = scene_names(scenes)
    for scene in with_progress(make_scenes(scenes, seed), progress):
        name = names[scene.index]
        for camera, seconds, file in tables.add_scene(scene, name, descriptions(scene)[0]):
            put_missing(
                folder / file,
                lambda scene=scene, camera=camera, seconds=seconds: jpeg(  # type: ignore[misc]
                    render(scene, camera, seconds)
                ),
            )
        _write_can_bus(can_folder, scene, name)
    tables.finish(_MAP_FILE)
    target = make_folder(folder / version)
    for table, rows in tables.rows.items():
        write_json(target / f"{table}.json", rows, indent=0)
    return folder


def _write_can_bus(folder: Path, scene: SampleScene, name: str) -> None:
    if (folder / f"{name}_meta.json").exists():
        return
    content = messages(scene)
    meta = content.pop("meta")
    for kind, rows in {**content, "meta": meta}.items():  # meta last: its presence means that all are there
        put_missing(folder / f"{name}_{kind}.json", lambda rows=rows: json.dumps(rows).encode())  # type: ignore[misc]


def _map_png() -> bytes:
    """A blank map: the sample world has no road network, the devkit only wants the file."""
    buffer = io.BytesIO()
    Image.new("L", (256, 256), 255).save(buffer, "PNG")
    return buffer.getvalue()
