"""From flags to the one listing that they name."""

from __future__ import annotations

from pathlib import Path

from multimodal_search.errors import DataError, SettingsError
from multimodal_search.settings import EmbedSettings
from multimodal_search.sources import open_source
from multimodal_search.sources.inputs.base import Inputs
from multimodal_search.sources.inputs.folder import FolderInputs
from multimodal_search.sources.inputs.items import ItemInputs
from multimodal_search.sources.inputs.lines import LineFile
from multimodal_search.sources.inputs.path_file import PathFileInputs, disk_root
from multimodal_search.sources.inputs.prefix import PrefixInputs
from multimodal_search.sources.inputs.texts import TextFileInputs
from multimodal_search.storage import ensure_bucket, is_s3

_WAYS = (
    "--image-dir DIR or s3://bucket/prefix, --path-file FILE (one path a line), --text-file FILE (one text a "
    "line), --data-dir DIR, --nuscenes-path DIR --use-devkit, --pairs FILE, or --use-sample-data"
)


def open_inputs(settings: EmbedSettings, *, sample_dir: Path) -> Inputs:
    """The inputs that the settings name; what is plainly wrong with them shows here.

    Args:
        settings: exactly one of the ways is set.
        sample_dir: where the sample world is written, once, when it is asked for.

    Raises:
        SettingsError: no way, several, half of one, or lines outside the file.
        DataError: the inputs are absent, unreadable or none; S3 cannot be reached or refuses.
        MissingDependencyError: S3 without the extra ``s3``, nuScenes without the extra ``nuscenes``.
    """
    _check_flags(settings)
    if settings.image_dir:
        if is_s3(settings.image_dir):
            return PrefixInputs(settings.image_dir)
        return FolderInputs(settings.image_dir, views=settings.views)
    if settings.path_file:
        return _path_file(settings, settings.path_file)
    if settings.text_file:
        return TextFileInputs(settings.text_file)
    return ItemInputs(open_source(settings, sample_dir=sample_dir), settings.cameras)


def _path_file(settings: EmbedSettings, path: str) -> Inputs:
    if settings.storage == "s3":
        root = f"s3://{settings.bucket_name}"
    else:
        assert settings.target_dir is not None
        root = disk_root(settings.target_dir)
    lines = LineFile(path, "--path-file", start=settings.start_line, end=settings.end_line)
    if settings.storage == "s3":
        ensure_bucket(root, kind=DataError)
    return PathFileInputs(lines, root, on_disk=settings.storage == "disk", dataset=settings.dataset)


def _check_flags(settings: EmbedSettings) -> None:
    given = [
        flag
        for flag, value in (
            ("--image-dir", settings.image_dir),
            ("--path-file", settings.path_file),
            ("--text-file", settings.text_file),
            ("--data-dir", settings.data_dir),
            ("--nuscenes-path", settings.nuscenes_path),
            ("--pairs", settings.pairs),
            ("--use-sample-data", settings.use_sample_data),
        )
        if value
    ]
    if len(given) > 1:
        raise SettingsError(
            f"Several inputs were given: {', '.join(given)}.", remedy="keep one of them; a run reads one"
        )
    if not settings.path_file:
        _refuse_alone(settings)
    if settings.use_devkit and not settings.nuscenes_path:
        raise SettingsError(
            "--use-devkit says how to read nuScenes, but not where it is.",
            remedy="add --nuscenes-path DIR, or leave --use-devkit out",
        )
    if settings.views and not settings.image_dir:
        raise SettingsError(
            "--views needs --image-dir.", remedy="add --image-dir DIR, the folder of the views"
        )
    if not given:
        raise SettingsError("No inputs were given.", remedy=f"choose one of {_WAYS}")
    if settings.views and is_s3(settings.image_dir or ""):
        raise SettingsError(
            "--views reads a local folder.",
            where=f"--image-dir {settings.image_dir}",
            remedy="copy the views to a disk, or leave --views out and get a row a picture",
        )
    if settings.path_file:
        _check_storage(settings)


def _refuse_alone(settings: EmbedSettings) -> None:
    """Flags that say something about ``--path-file``, without it."""
    alone = [
        flag
        for flag, value in (
            ("--dataset", settings.dataset),
            ("--start-line", settings.start_line),
            ("--end-line", settings.end_line),
            ("--target-dir", settings.target_dir),
            ("--bucket-name", settings.bucket_name),
            ("--storage s3", settings.storage == "s3"),
        )
        if value
    ]
    if alone:
        raise SettingsError(
            f"{', '.join(alone)} say{'s'[: len(alone) == 1]} how to read a --path-file, and none is given.",
            remedy="add --path-file FILE, or leave the rest out",
        )


def _check_storage(settings: EmbedSettings) -> None:
    flags = {"--target-dir": settings.target_dir, "--bucket-name": settings.bucket_name}
    needed, wrong = flags if settings.storage == "disk" else reversed(flags)
    if not flags[needed]:
        raise SettingsError(
            f"--path-file with --storage {settings.storage} needs {needed}.",
            remedy="give --storage disk --target-dir DIR, or --storage s3 --bucket-name NAME",
        )
    if flags[wrong]:
        raise SettingsError(
            f"{wrong} does not go with --storage {settings.storage}.",
            remedy=f"leave it out, or choose --storage {'s3' if settings.storage == 'disk' else 'disk'}",
        )
    if settings.bucket_name and set(settings.bucket_name) & set("/: "):
        raise SettingsError(
            f"--bucket-name {settings.bucket_name!r} is no bucket's name.",
            remedy="give the name alone, without s3:// and without a path",
        )
