"""nuScenes through its own devkit: any version folder, also one whose images are only partly there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from multimodal_search.errors import DataError, SettingsError, nearest
from multimodal_search.sources import fields
from multimodal_search.sources.nuscenes_devkit import official_splits, open_tables
from multimodal_search.sources.nuscenes_signals import SceneSignals
from multimodal_search.sources.series import window
from multimodal_search.storage import content_key
from multimodal_search.types import Failure, Item, Series

LICENCE = "CC BY-NC-SA 4.0"
CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT")
_ZONE = re.compile(r"([+-])(\d{2})(\d{2})$")  # a log's name ends with its time zone


class NuScenesSource:
    """An item a keyframe (0.5 s apart) or a scene, with up to six cameras and the signals around it.

    Args:
        root: the folder that holds the version folder, ``samples`` and ``maps``.
        version: the version folder's name.
        granularity: an item a ``keyframe`` or a ``scene``.
        cameras: cameras that will be used, the primary one first, or ``["all"]``; the absence of their
            images is reported.
        window_seconds: length of the signal around a keyframe, cut at the scene's ends.
        limit: the first so many scenes.
    """

    kind = "nuscenes"
    licence: str | None = LICENCE

    def __init__(
        self,
        root: str | Path,
        *,
        version: str = "v1.0-mini",
        granularity: Literal["keyframe", "scene"] = "keyframe",
        cameras: Sequence[str] = ("CAM_FRONT",),
        window_seconds: float = 10.0,
        limit: int | None = None,
    ) -> None:
        self.root = Path(root).expanduser().resolve()
        self.version = version
        self.failures: list[Failure] = []
        self._granularity = granularity
        self._asked = tuple(cameras)
        self._window_seconds = window_seconds
        self._limit = limit
        self._items: list[Item] | None = None
        self._names_in: dict[str, frozenset[str]] = {}

    @cached_property
    def _tables(self) -> Any:
        return open_tables(self.root, self.version)

    @cached_property
    def _signals(self) -> SceneSignals:
        return SceneSignals(self._tables, self.root)

    @cached_property
    def official_splits(self) -> Mapping[str, str] | None:
        """The published split; None for a tree with scenes that it does not know."""
        return official_splits(self._tables, self.version)

    def items(self) -> list[Item]:
        """Keyframes in time order within their scenes, or scenes, in the order of the tables.

        A keyframe without an image stays: its signal and its scene's description are still there.

        Raises:
            DataError: tables missing or refused by the devkit, or no item.
            SettingsError: an unknown camera.
        """
        if self._items is None:
            self._items = self._read()
        return self._items

    def image_file(self, path: str) -> Path:
        """The file of an item's image. Links are followed: ``samples`` often is one to another disk.

        Raises:
            DataError: the path leaves the folder.
        """
        return self.root / self._inside(path)

    def image_key(self, path: str) -> str:
        """Size and time.

        Raises:
            OSError: it is not there, or cannot be looked at.
        """
        return content_key(self.image_file(path))

    def series(self, item: Item) -> Series | None:
        """(T, C) at 10 Hz: the window around a keyframe, or the whole scene; C is the same for all.

        Raises:
            SkipInput: neither CAN bus nor poses can be used.
        """
        scene = self._signals.scene(item.metadata["scene_token"])
        if self._granularity == "scene" or item.timestamp_us is None:
            return scene
        first = self._tables.get("scene", item.metadata["scene_token"])["first_sample_token"]
        start_us = self._tables.get("sample", first)["timestamp"]
        return window(scene, (item.timestamp_us - start_us) / 1e6, self._window_seconds)

    def _read(self) -> list[Item]:
        tables = self._tables
        cameras = self._cameras()
        items: list[Item] = []
        scene: Mapping[str, Any] = {}
        try:
            for scene in tables.scene[: self._limit]:
                keyframes = [self._item(scene, sample, cameras) for sample in self._samples(scene)]
                chosen = keyframes if self._granularity == "keyframe" else [_scene_item(keyframes)]
                items.extend(chosen)
                self._report_missing(chosen, cameras)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(
                f"The tables of nuScenes {self.version!r} do not fit together: {error!r}.",
                where=f"{self.root / self.version}, scene {scene.get('name')!r}",
                remedy="unpack the version's metadata again, or correct the converter that wrote it",
            ) from error
        if not items:
            raise DataError(
                f"nuScenes {self.version!r} has no keyframe.",
                where=self.root / self.version,
                remedy="check the tables scene.json and sample.json",
            )
        return items

    def _cameras(self) -> tuple[str, ...]:
        """Cameras that are asked for, the primary one first.

        Raises:
            SettingsError: this tree has no such camera.
        """
        present = {one["channel"] for one in self._tables.sensor if one["modality"] == "camera"}
        ordered = [*(one for one in CAMERAS if one in present), *sorted(present - set(CAMERAS))]
        if self._asked == ("all",):
            return tuple(ordered)
        for camera in self._asked:
            if camera not in present:
                raise SettingsError(
                    f"nuScenes {self.version!r} has no camera {camera!r}: {nearest(camera, ordered)}",
                    where="--cameras",
                    remedy=f"--cameras {ordered[0]}, or all" if ordered else "use a version with cameras",
                )
        return self._asked

    def _samples(self, scene: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        token, seen = scene["first_sample_token"], set[str]()
        while token and token not in seen:
            seen.add(token)
            sample = self._tables.get("sample", token)
            yield sample
            token = sample["next"]

    def _item(self, scene: Mapping[str, Any], sample: Mapping[str, Any], cameras: tuple[str, ...]) -> Item:
        log = self._tables.get("log", scene["log_token"])
        images = {}
        for camera, token in sample["data"].items():
            record = self._tables.get("sample_data", token)
            path = self._inside(record["filename"])
            if record["sensor_modality"] == "camera" and self._exists(path):
                images[camera] = path
        timestamp_us = int(sample["timestamp"])
        return Item(
            id=f"{scene['name']}/{timestamp_us}",
            scene_id=scene["name"],
            timestamp_us=timestamp_us,
            image_path=next((images[camera] for camera in cameras if camera in images), None),
            images=images,
            text=fields.texts(scene["description"]),
            series_path=f"can_bus/{scene['name']}",
            location=log["location"],
            group=log["logfile"],
            metadata=fields.flat(
                {
                    "sample_token": sample["token"],
                    "scene_token": scene["token"],
                    "scene_name": scene["name"],
                    "log": log["logfile"],
                    "vehicle": log.get("vehicle"),
                    "date_captured": log.get("date_captured"),
                    "local_hour": local_hour(timestamp_us, log["logfile"]),
                }
            ),
        )

    def _report_missing(self, items: Sequence[Item], cameras: tuple[str, ...]) -> None:
        for item in items:
            sample = self._tables.get("sample", item.metadata["sample_token"])
            for camera in cameras:
                if camera not in item.images:
                    token = sample["data"].get(camera)
                    path = self._tables.get("sample_data", token)["filename"] if token else camera
                    self.failures.append(Failure(item.id, path, "image missing"))

    def _inside(self, path: str) -> str:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or "\0" in path:
            raise DataError(
                f"The path {path!r} leaves the nuScenes folder {self.root}.",
                where=self.root / self.version / "sample_data.json",
                remedy="use paths relative to the folder",
            )
        return path

    def _exists(self, path: str) -> bool:
        """One listing a folder instead of a question a file: trainval has 204,894 keyframe images."""
        folder, _, name = path.rpartition("/")
        names = self._names_in.get(folder)
        if names is None:
            try:
                names = frozenset(entry.name for entry in (self.root / folder).iterdir())
            except OSError:
                names = frozenset()
            self._names_in[folder] = names
        return name in names


def _scene_item(keyframes: Sequence[Item]) -> Item:
    """The scene's middle keyframe, or the nearest to it that has a picture, standing for the whole."""
    middle = (len(keyframes) - 1) / 2
    order = sorted(range(len(keyframes)), key=lambda index: abs(index - middle))
    best = next((index for index in order if keyframes[index].image_path), order[0])
    return replace(keyframes[best], id=keyframes[best].scene_id)


def local_hour(timestamp_us: int, logfile: str) -> int | None:
    """0 to 23 where the car drove, by the zone at the end of its log's name; None where it has none."""
    zone = _ZONE.search(logfile)
    if zone is None:
        return None
    minutes = int(zone[2]) * 60 + int(zone[3])
    offset_seconds = 60 * (minutes if zone[1] == "+" else -minutes)
    return int((timestamp_us // 1_000_000 + offset_seconds) // 3600 % 24)
