"""The sample world as a folder of pictures and signals, and as a file of pairs."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_search.sources.sample.output_folder import claim, make_folder, put_missing, with_progress
from multimodal_search.sources.sample.render import jpeg, render
from multimodal_search.sources.sample.signals import CHANNELS, RATE_HZ, make_drive, make_series
from multimodal_search.sources.sample.texts import descriptions
from multimodal_search.sources.sample.world import SampleScene, make_scenes
from multimodal_search.storage import write_atomically, write_json


def write_extracted(
    out: str | Path, *, scenes: int, seed: int, cameras: tuple[str, ...], progress: bool = True
) -> Path:
    """``images/``, ``timeseries/`` with ``channels.json``, and ``scenes_metadata.json``, which comes last.

    A second run writes only what is missing.

    Raises:
        DataError: the folder holds something else.
        OutputError: a file cannot be written.
    """
    folder = claim(out, {"format": "extracted", "scenes": scenes, "seed": seed, "cameras": list(cameras)})
    images, signals = make_folder(folder / "images"), make_folder(folder / "timeseries")
    channels = json.dumps({"channels": list(CHANNELS), "rate_hz": RATE_HZ}, indent=2)
    put_missing(signals / "channels.json", channels.encode)
    records = []
    for scene in with_progress(make_scenes(scenes, seed), progress):
        paths = _write_images(images, scene, cameras)
        put_missing(signals / f"{scene.scene_id}.npy", partial(_npy, scene))
        records.append(_record(scene, paths))
    target = folder / "scenes_metadata.json"
    if not _holds(target, records):
        write_json(target, records)
    return folder


def write_pairs(
    out: str | Path, *, scenes: int, seed: int, cameras: tuple[str, ...], progress: bool = True
) -> Path:
    """``pairs.csv`` (image, text, scene_id, group, location; a row a text) and ``images/``.

    The pictures are of the first camera.

    Raises:
        DataError: the folder holds something else.
        OutputError: a file cannot be written.
    """
    folder = claim(out, {"format": "pairs", "scenes": scenes, "seed": seed, "cameras": list(cameras)})
    images = make_folder(folder / "images")
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["image", "text", "scene_id", "group", "location"])
    for scene in with_progress(make_scenes(scenes, seed), progress):
        path = next(iter(_write_images(images, scene, cameras[:1]).values()))
        for text in descriptions(scene):
            rows.writerow([path, text, scene.scene_id, scene.log, scene.location])
    with write_atomically(folder / "pairs.csv", "w") as file:
        file.write(table.getvalue())
    return folder


def _write_images(folder: Path, scene: SampleScene, cameras: tuple[str, ...]) -> dict[str, str]:
    """Camera -> path from the data folder; the first camera's file has the scene's plain name."""
    paths = {}
    for index, camera in enumerate(cameras):
        name = f"{scene.scene_id}.jpg" if index == 0 else f"{scene.scene_id}_{camera}.jpg"
        put_missing(folder / name, lambda camera=camera: jpeg(render(scene, camera)))  # type: ignore[misc]
        paths[camera] = f"images/{name}"
    return paths


def _npy(scene: SampleScene) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, make_series(scene).values.astype(np.float32), allow_pickle=False)
    return buffer.getvalue()


def _record(scene: SampleScene, paths: dict[str, str]) -> dict[str, Any]:
    moment_us = scene.start_us + round(make_drive(scene).moment_seconds * 1e6)
    record: dict[str, Any] = {
        "scene_id": scene.scene_id,
        "description": list(descriptions(scene)),
        "image_path": next(iter(paths.values())),
        "location": scene.location,
        "timestamp": datetime.fromtimestamp(moment_us / 1e6, UTC).isoformat(),
        "log": scene.log,
        "metadata": scene.metadata(),
    }
    if len(paths) > 1:
        record["images"] = paths
    return record


def _holds(path: Path, value: Any) -> bool:
    """Whether a file already says this: then its date stays, and what was made from it is still good."""
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")) == value)
    except (OSError, ValueError):
        return False
