"""Where items come from. ``open_source`` gives the one that the settings name."""

from __future__ import annotations

from pathlib import Path

from multimodal_search.errors import SettingsError
from multimodal_search.settings.models import DataSettings
from multimodal_search.sources.base import Source
from multimodal_search.storage import is_s3

__all__ = ["Source", "open_source"]

_WAYS = (
    "--use-sample-data (nothing to download), --data-dir DIR (your own scenes), "
    "--nuscenes-path DIR --use-devkit (nuScenes), or --pairs FILE (images with captions)"
)


def open_source(settings: DataSettings, *, sample_dir: Path) -> Source:
    """The one source that the settings give. Items are read when they are first asked for.

    Args:
        settings: exactly one of the four ways is set.
        sample_dir: where the sample world is written, once, when it is asked for.

    Raises:
        SettingsError: no source, several, or half of one.
        DataError: the data cannot be understood (here, or from ``items``).
        MissingDependencyError: nuScenes without the extra ``nuscenes``.
    """
    given = [
        flag
        for flag, value in (
            ("--use-sample-data", settings.use_sample_data),
            ("--data-dir", settings.data_dir),
            ("--nuscenes-path", settings.nuscenes_path),
            ("--pairs", settings.pairs),
        )
        if value
    ]
    if settings.use_devkit and not settings.nuscenes_path:
        raise SettingsError(
            "--use-devkit says how to read nuScenes, but not where it is.",
            remedy="add --nuscenes-path DIR, or leave --use-devkit out",
        )
    if not given:
        raise SettingsError("No data was given.", remedy=f"choose one of {_WAYS}")
    if len(given) > 1:
        raise SettingsError(
            f"Several sources were given: {', '.join(given)}.",
            remedy="keep one of them; a run reads one source",
        )
    if settings.pairs:
        from multimodal_search.sources.pairs import PairsSource

        return PairsSource(settings.pairs, limit=settings.limit)
    if settings.nuscenes_path:
        _refuse_s3(settings.nuscenes_path)
        return _open_nuscenes(settings, settings.nuscenes_path)
    from multimodal_search.sources.extracted import ExtractedSource

    if settings.data_dir:
        return ExtractedSource(settings.data_dir, limit=settings.limit)
    folder = _write_sample(settings, sample_dir)
    return ExtractedSource(folder, limit=settings.limit, kind="sample", licence="Apache-2.0")


def _refuse_s3(root: str) -> None:
    """The devkit opens files of a disk."""
    if is_s3(root):
        raise SettingsError(
            "The nuscenes-devkit reads a local folder.",
            where=f"--nuscenes-path {root}",
            remedy="copy it to a disk, or extract it ('multimodal-search extract') and give what that "
            "wrote as --data-dir s3://...",
        )


def _open_nuscenes(settings: DataSettings, root: str) -> Source:
    if not settings.use_devkit:
        raise SettingsError(
            "--nuscenes-path needs --use-devkit.",
            where=f"--nuscenes-path {root}",
            remedy="add --use-devkit (pip install 'multimodal-search[nuscenes]' brings the devkit)",
        )
    from multimodal_search.sources.nuscenes import NuScenesSource

    return NuScenesSource(
        root,
        version=settings.nuscenes_version,
        granularity=settings.granularity,
        cameras=settings.cameras,
        window_seconds=settings.window_seconds,
        limit=settings.limit,
    )


def _write_sample(settings: DataSettings, sample_dir: Path) -> Path:
    """The sample world's folder; its name holds all that its content depends on."""
    from multimodal_search.sources import sample
    from multimodal_search.sources.sample.world import VERSION

    cameras = sample.chosen_cameras(settings.cameras)
    name = f"world-{VERSION}-seed-{settings.sample_seed}-scenes-{settings.sample_scenes}"
    if cameras != ("CAM_FRONT",):
        name += "".join(f"-{camera}" for camera in cameras)
    folder = sample_dir / name
    sample.write(
        "extracted", folder, scenes=settings.sample_scenes, seed=settings.sample_seed, cameras=cameras
    )
    return folder
