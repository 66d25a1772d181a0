"""A procedural driving world, made on this machine from a seed: pictures, signals and texts that agree.

``write`` puts it into a folder in any format that the library reads. The parts: ``world`` (scenes),
``signals``, ``render``, ``texts``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multimodal_search.errors import SettingsError, nearest

FORMATS = ("extracted", "nuscenes", "pairs")


def write(
    format: str,
    out: str | Path,
    scenes: int = 100,
    seed: int = 0,
    cameras: Sequence[str] = ("CAM_FRONT",),
    *,
    progress: bool = True,
) -> Path:
    """Write the sample world; what an earlier run with the same arguments wrote is kept.

    Args:
        format: ``extracted`` (``scenes_metadata.json``, ``images/``, ``timeseries/``), ``nuscenes`` (a tree
            for the nuscenes-devkit, version ``v1.0-mini``) or ``pairs`` (``pairs.csv``, ``images/``).
        out: the folder, new or of an earlier run.
        scenes: how many; the first scenes of a larger world are those of a smaller one.
        seed: which world.
        cameras: nuScenes' camera names, the primary one first, or ``("all",)``.
        progress: show a bar where there is a terminal.

    Returns:
        The folder.

    Raises:
        SettingsError: an unknown format or camera, or no scene asked for.
        DataError: the folder holds something else.
        OutputError: a file cannot be written.
    """
    if format not in FORMATS:
        raise SettingsError(f"Unknown format {format!r}: {nearest(format, FORMATS)}", where="--format")
    chosen = chosen_cameras(cameras)
    if scenes < 1 or seed < 0:
        raise SettingsError(f"At least one scene and a seed of 0 or more, not {scenes} and {seed}.")
    if format == "nuscenes":
        from multimodal_search.sources.sample.write_nuscenes import write_nuscenes

        return write_nuscenes(out, scenes=scenes, seed=seed, cameras=chosen, progress=progress)
    from multimodal_search.sources.sample.write_extracted import write_extracted, write_pairs

    writer = write_extracted if format == "extracted" else write_pairs
    return writer(out, scenes=scenes, seed=seed, cameras=chosen, progress=progress)


def chosen_cameras(cameras: Sequence[str]) -> tuple[str, ...]:
    """The cameras by name, ``("all",)`` for the six.

    Raises:
        SettingsError: an unknown camera, one twice, or none.
    """
    from multimodal_search.sources.sample.view import CAMERAS

    if tuple(cameras) == ("all",):
        return tuple(CAMERAS)
    known = f"use some of {', '.join(CAMERAS)}, or 'all' alone"
    if unknown := [camera for camera in cameras if camera not in CAMERAS]:
        raise SettingsError(f"Unknown camera {unknown[0]!r}.", where="--cameras", remedy=known)
    if not cameras or len(set(cameras)) < len(cameras):
        raise SettingsError(
            "No camera was named." if not cameras else "A camera is named twice.",
            where="--cameras",
            remedy=known,
        )
    return tuple(cameras)
