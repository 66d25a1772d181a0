"""A nuScenes release -> scenes, pictures and signals."""

from __future__ import annotations

import contextlib
import logging
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from multimodal_search.errors import DataError
from multimodal_search.extraction.nuscenes_choice import coverage, spread
from multimodal_search.extraction.nuscenes_facts import Facts, facts, metadata, sentence, signals, too_long
from multimodal_search.extraction.nuscenes_pictures import Pictures
from multimodal_search.extraction.nuscenes_release import Release
from multimodal_search.extraction.nuscenes_scene import ReleaseScene
from multimodal_search.extraction.writing import FAILURES_FILE, IMAGES_FOLDER, Channel, ExtractedWriter
from multimodal_search.settings.extraction import ExtractSettings
from multimodal_search.sources.nuscenes_can import CHANNELS, CanBus
from multimodal_search.sources.nuscenes_devkit import absent_version, versions
from multimodal_search.sources.poses import MOTION_CHANNELS
from multimodal_search.storage import write_atomically
from multimodal_search.types import Failure

logger = logging.getLogger("multimodal_search")

COVERAGE_FILE = "coverage.txt"
_DEFAULT_FOLDER = Path("extracted_data")
_DEFAULT_VERSION = "v1.0-mini"
_WITH_POSES = ("position_x_m", "position_y_m", "position_z_m", "heading_rad")


def extract_nuscenes(settings: ExtractSettings) -> int:
    """Write the chosen scenes; goes on where a killed run was.

    Returns:
        The exit code.

    Raises:
        DataError: no such folder or version (says what is there), or tables that do not agree (which token).
        OutputError: the folder holds something else, or cannot be written.
    """
    return _Extraction(settings).run()


class _Extraction:
    """One run: the release, what is known of its scenes, and which of them were chosen."""

    def __init__(self, settings: ExtractSettings) -> None:
        self._settings = settings
        self._root = Path(settings.nuscenes_path or ".").resolve()
        self._version = find_version(self._root, settings.nuscenes_version)
        self._can = CanBus(self._root) if settings.include_timeseries else None
        self._release = _read(self._root, self._version, settings)
        self._pictures = Pictures(self._root)
        self._facts = [facts(scene) for scene in self._release.scenes]

    def run(self) -> int:
        settings = self._settings
        channels = self._channels()
        chosen = self._chosen()
        made_from = {
            "source": "nuscenes",
            "root": str(self._root),
            "version": self._version,
            "cameras": self._release.cameras,
            "channels": [one.name for one in channels],
            "rate_hz": settings.rate_hz,
            "describe": settings.describe,
            "diverse": settings.diverse,
            "seed": settings.seed if settings.diverse else None,
        }
        folder = Path(settings.output_dir or _DEFAULT_FOLDER)
        with ExtractedWriter(folder, made_from, overwrite=settings.overwrite) as writer:
            try:
                self._write(writer, chosen, channels)
            except KeyboardInterrupt:
                writer.finish(channels, settings.rate_hz)  # what there is can be used
                raise
            writer.finish(channels, settings.rate_hz)
            if not writer.finished:
                first = writer.failures[0].reason if writer.failures else "the release has no keyframe"
                raise DataError(
                    f"No scene could be used; the first: {first}.",
                    where=folder / FAILURES_FILE,
                    remedy="unpack samples/ (pictures) or can_bus/ beside the version folder",
                )
            place = {scene.name: index for index, scene in enumerate(self._release.scenes)}
            there = sorted(place[name] for name in writer.finished if name in place)
            report = coverage(self._facts, there, diverse=settings.diverse)
            with write_atomically(folder / COVERAGE_FILE, "w") as file:
                file.write(report + "\n")
            self._say(writer, folder, report, there, asked=len(chosen))
        return 0

    def _write(self, writer: ExtractedWriter, chosen: list[int], channels: list[Channel]) -> None:
        again = {failure.id for failure in writer.failures}  # perhaps the missing picture is there by now
        finished = writer.finished - again
        for index in tqdm(chosen, desc="scenes", unit="scene", mininterval=_interval()):
            scene = self._release.scenes[index]
            if scene.name not in finished:
                self._add(writer, scene, self._facts[index], channels)

    def _add(
        self, writer: ExtractedWriter, scene: ReleaseScene, known: Facts, channels: list[Channel]
    ) -> None:
        names = [one.name for one in channels]
        series, origin = signals(scene, self._can, names, self._settings.rate_hz) if names else (None, "")
        if names and series is None:
            why = "no CAN bus message and fewer than two ego poses"
            if too_long(scene):
                why = f"the keyframes span {scene.duration_seconds:g} s; are the timestamps in microseconds?"
            writer.fail(Failure(scene.name, None, f"no signal: {why}"))
        if scene.poses_missing:
            reason = (
                f"{scene.poses_missing} ego poses are in no row of ego_pose.json: {scene.first_missing!r}"
            )
            writer.fail(Failure(scene.name, None, reason))
        if known.mean_speed_mps is None and series is not None:
            known = facts(scene, series)
        images, seconds = self._images(writer, scene)
        if not images and series is None:
            writer.fail(Failure(scene.name, None, "left out: neither a picture nor a signal"))
            return
        text, mark = known.text, dict[str, str]()
        if not text.strip() and self._settings.describe:
            text, mark = sentence(scene, known)
        writer.add(
            {
                "scene_id": scene.name,
                "description": text,
                "image_path": next(iter(images.values()), None),
                "images": images,
                "location": known.location,
                "timestamp": scene.timestamps_us[0],
                "log": scene.log.get("logfile"),
                "metadata": {**metadata(scene, known), "picture_seconds": seconds, "signals": origin, **mark},
            },
            None if series is None else series.values,
        )

    def _images(self, writer: ExtractedWriter, scene: ReleaseScene) -> tuple[dict[str, str], float | None]:
        """Camera -> path of the copy, of one keyframe; its seconds since the scene's start."""
        place = self._pictures.best_keyframe(scene)
        images: dict[str, str] = {}
        for camera, files in scene.pictures.items():
            file = files[place if place is not None else len(files) // 2] if files else None
            content = self._pictures.read(file) if file and self._pictures.there(file) else None
            if file is None or content is None:
                writer.fail(Failure(scene.name, file or camera, "image missing"))
                continue
            name = PurePosixPath(file).name
            images[camera] = writer.add_image(f"{IMAGES_FOLDER}/{camera}/{name}", content)
        if place is None or not images:
            return images, None
        return images, round((scene.timestamps_us[place] - scene.timestamps_us[0]) / 1e6, 3)

    def _channels(self) -> list[Channel]:
        """One list for all scenes: what some scene has."""
        if self._can is None:
            return []
        names = {one.name for one in self._can.offered()}
        if any(scene.pose_times_us.size for scene in self._release.scenes):
            names |= {*MOTION_CHANNELS, *_WITH_POSES}
        kept = [one for one in CHANNELS if one.name in names]
        if not self._settings.keep_all_channels:
            kept = [one for one in kept if not one.betrays]
        return [Channel(one.name, one.unit) for one in kept]

    def _chosen(self) -> list[int]:
        """Indices of scenes: those with a picture first, where not all are wanted."""
        everything = [index for index, scene in enumerate(self._release.scenes) if scene.samples]
        count = self._settings.num_scenes or len(everything)
        if count >= len(everything):
            return everything
        scenes = self._release.scenes
        pool = seen = [
            index for index in everything if self._pictures.best_keyframe(scenes[index]) is not None
        ]
        if len(seen) < count:
            pool = everything
        elif len(seen) < len(everything):
            logger.warning(
                "%d of %d scenes have a picture here (downloaded in part?); scenes are chosen from these",
                len(seen),
                len(everything),
            )
        if self._settings.diverse:
            return [
                pool[index]
                for index in spread([self._facts[one] for one in pool], count, self._settings.seed)
            ]
        return pool[:count]

    def _say(
        self, writer: ExtractedWriter, folder: Path, report: str, there: list[int], *, asked: int
    ) -> None:
        print(report)
        if len(there) > asked:
            print(f"{len(there)} scenes are there from earlier runs; {asked} were asked for now")
        names = [self._release.scenes[index].name for index in there]
        if self._can is not None:
            for what, listed in (
                ("recorded without CAN bus, signals are of the ego poses", self._can.without(names)),
                ("off the planned route by the devkit's list, the poses hold", self._can.misaligned(names)),
            ):
                if listed:
                    print(f"{what} ({len(listed)}): {', '.join(listed)}")
        if not self._release.has_annotations:
            print("no annotations in this release: no counts of objects")
        failures = writer.failures
        if failures:
            print(f"could not be used, listed in {folder / FAILURES_FILE} ({len(failures)}); the first:")
            first = failures[0]
            print(f"  {first.id}: {first.reason}" + (f" ({first.path})" if first.path else ""))
        series = " --include-timeseries" if self._can else ""
        print(f"wrote {len(there)} scenes to {folder}")
        print(f"next: python train.py --data-dir {shlex.quote(str(folder))}{series}")


def find_version(root: Path, version: str | None) -> str:
    """The version folder: the one that was asked for, the only one, or ``v1.0-mini``.

    Raises:
        DataError: no such folder; says what is there.
    """
    if not root.is_dir():
        raise DataError(
            f"The nuScenes folder {root} does not exist.",
            where="--dataroot",
            remedy="give the folder that holds v1.0-mini (or another version), samples and maps",
        )
    present = versions(root)
    if version is None:
        version = present[0] if len(present) == 1 else _DEFAULT_VERSION
    if version in present:
        return version
    raise absent_version(root, version, "--dataroot", "--version")


def _read(root: Path, version: str, settings: ExtractSettings) -> Release:
    with _bar(root / version) as bar:
        return Release(root, version, settings.cameras, bar.update)


@contextlib.contextmanager
def _bar(folder: Path) -> Iterator[tqdm]:
    total = sum(path.stat().st_size for path in folder.glob("*.json"))
    with tqdm(total=total, desc="tables", unit="B", unit_scale=True, mininterval=_interval()) as bar:
        yield bar


def _interval() -> float:
    return 0.2 if sys.stderr.isatty() else 10.0  # a log file needs no animation
