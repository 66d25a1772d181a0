"""The metadata of a nuScenes release, in little memory: what extraction needs of each scene.

The devkit holds every row of every table: gigabytes for trainval. Here the tables are streamed, and of
millions of rows a scene keeps its keyframes, the file names of a few cameras, one sensor's ego poses and the
objects' counts. ``tests/extraction/test_nuscenes_release.py`` holds it to what the devkit gives.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from multimodal_search.errors import DataError, SettingsError, nearest
from multimodal_search.extraction import nuscenes_objects
from multimodal_search.extraction.nuscenes_rows import REMEDY, Row, disagree, lookup, stream_rows, value
from multimodal_search.extraction.nuscenes_scene import ReleaseScene
from multimodal_search.sources.nuscenes import CAMERAS
from multimodal_search.sources.nuscenes_signals import POSE_SENSORS

_NEEDED = ("scene", "sample", "sensor", "calibrated_sensor", "sample_data")


class Release:
    """The scenes of one version folder.

    Args:
        root: the nuScenes root.
        version: the version folder's name.
        cameras: the primary one first, or ``["all"]``.
        advance: told how many characters were read, for a progress bar.

    Raises:
        DataError: tables missing, damaged, or that do not agree: says which token.
        SettingsError: no such camera.
    """

    def __init__(
        self,
        root: Path,
        version: str,
        cameras: Sequence[str],
        advance: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.folder = root / version
        self._advance = advance
        missing = [name for name in _NEEDED if not self._path(name).is_file()]
        if missing:
            raise DataError(
                f"The nuScenes version {version!r} lacks {', '.join(f'{name}.json' for name in missing)}.",
                where=self.folder,
                remedy=REMEDY,
            )
        self._index: dict[str, tuple[int, int]] = {}  # sample token -> (scene, keyframe)
        self.scenes: list[ReleaseScene] = self._read_scenes()
        self._read_samples()
        channels, cameras_there = self._sensors()
        self.cameras = _chosen(cameras, cameras_there, version)
        self._read_poses(self._read_sample_data(channels))
        self.has_annotations = all(self._path(name).is_file() for name in nuscenes_objects.TABLES)
        if self.has_annotations:
            nuscenes_objects.count_objects(self.folder, self.scenes, self._index, advance)

    def tables_bytes(self) -> int:
        """Size of the tables, for a progress bar."""
        return sum(path.stat().st_size for path in self.folder.glob("*.json"))

    def _path(self, table: str) -> Path:
        return self.folder / f"{table}.json"

    def _rows(self, table: str) -> Iterator[Row]:
        return stream_rows(self._path(table), self._advance)

    def _read_scenes(self) -> list[ReleaseScene]:
        log, path = self._path("log"), self._path("scene")
        logs = {value(row, "token", log): row for row in self._rows("log")} if log.is_file() else {}
        scenes: dict[str, ReleaseScene] = {}
        for row in self._rows("scene"):
            value(row, "token", path)
            name = str(value(row, "name", path))
            if name in scenes:
                raise disagree(row, path, f"its name {name!r} is there twice")
            scenes[name] = ReleaseScene(row, lookup(logs, row, "log_token", path, "log") if logs else {})
        if not scenes:
            raise DataError("scene.json is empty.", where=path, remedy=REMEDY)
        return list(scenes.values())

    def _read_samples(self) -> None:
        path = self._path("sample")
        of_scene = {scene.row["token"]: number for number, scene in enumerate(self.scenes)}
        found: list[list[tuple[int, str]]] = [[] for _ in self.scenes]
        for row in self._rows("sample"):
            number = lookup(of_scene, row, "scene_token", path, "scene")
            found[number].append((_whole(row, "timestamp", path), str(value(row, "token", path))))
        for number, (scene, keyframes) in enumerate(zip(self.scenes, found, strict=True)):
            keyframes.sort()
            scene.timestamps_us = [time for time, _ in keyframes]
            scene.samples = [token for _, token in keyframes]
            self._index.update({token: (number, place) for place, token in enumerate(scene.samples)})
        for scene in self.scenes:
            for key in ("first_sample_token", "last_sample_token"):
                if scene.row.get(key):
                    lookup(self._index, dict(scene.row), key, self._path("scene"), "sample")

    def _sensors(self) -> tuple[dict[str, str], list[str]]:
        """calibrated sensor -> channel; the channels that are cameras."""
        path, calibrated = self._path("sensor"), self._path("calibrated_sensor")
        sensors = {value(row, "token", path): row for row in self._rows("sensor")}
        channels = {}
        for row in self._rows("calibrated_sensor"):
            sensor = lookup(sensors, row, "sensor_token", calibrated, "sensor")
            channels[value(row, "token", calibrated)] = str(value(sensor, "channel", path))
        cameras = {str(row.get("channel")) for row in sensors.values() if row.get("modality") == "camera"}
        return channels, [*(one for one in CAMERAS if one in cameras), *sorted(cameras - set(CAMERAS))]

    def _read_sample_data(self, channels: Mapping[str, str]) -> dict[str, int]:
        """Fill in the pictures; returns ego pose -> scene * 2 + rank of its sensor."""
        for scene in self.scenes:
            scene.pictures = {camera: [None] * len(scene.samples) for camera in self.cameras}
        present = [one for one in POSE_SENSORS if one in channels.values()] or [*channels.values()][:1]
        rank, cameras, path = (
            {one: place for place, one in enumerate(present)},
            set(self.cameras),
            self._path("sample_data"),
        )
        poses: dict[str, int] = {}
        for row in self._rows("sample_data"):
            channel = lookup(channels, row, "calibrated_sensor_token", path, "calibrated_sensor")
            if channel not in cameras and channel not in rank:
                continue
            number, keyframe = lookup(self._index, row, "sample_token", path, "sample")
            if channel in cameras and row.get("is_key_frame"):
                self.scenes[number].pictures[channel][keyframe] = str(value(row, "filename", path))
            if channel in rank and row.get("ego_pose_token"):
                poses[row["ego_pose_token"]] = number * 2 + rank[channel]
        return poses

    def _read_poses(self, wanted: dict[str, int]) -> None:
        path = self._path("ego_pose")
        times = [array("q") for _ in range(2 * len(self.scenes))]
        values = [array("d") for _ in range(2 * len(self.scenes))]
        for row in self._rows("ego_pose") if path.is_file() else ():
            place = wanted.pop(row.get("token", ""), None)
            if place is None:
                continue
            moved, turned = value(row, "translation", path), value(row, "rotation", path)
            try:
                (x, y, z), (w, i, j, k) = map(float, moved), map(float, turned)
            except (TypeError, ValueError) as error:
                raise disagree(
                    row, path, "its translation is not (x, y, z), or its rotation not (w, x, y, z)"
                ) from error
            times[place].append(_whole(row, "timestamp", path))
            values[place].extend((x, y, z, w, i, j, k))
        for token, place in wanted.items():
            scene = self.scenes[place // 2]
            scene.poses_missing += 1
            scene.first_missing = scene.first_missing or token
        for number, scene in enumerate(self.scenes):
            # the better sensor where it has poses, else the other
            place = 2 * number if len(times[2 * number]) > 1 else 2 * number + 1
            scene.pose_times_us = np.array(times[place], dtype=np.int64)
            scene.poses = np.array(values[place], dtype=np.float64).reshape(-1, 7)


def _whole(row: Row, key: str, table: Path) -> int:
    try:
        return int(value(row, key, table))
    except (TypeError, ValueError, OverflowError) as error:
        raise disagree(row, table, f"its {key} is no whole number: {row[key]!r}") from error


def _chosen(asked: Sequence[str], there: Sequence[str], version: str) -> list[str]:
    if list(asked) == ["all"]:
        return list(there)
    for camera in asked:
        if camera not in there:
            raise SettingsError(
                f"nuScenes {version!r} has no camera {camera!r}: {nearest(camera, list(there))}",
                where="--cameras",
                remedy=f"--cameras {there[0]}, or all" if there else "use a version with cameras",
            )
    return list(dict.fromkeys(asked))
