"""The nuScenes devkit, opened quietly; what it refuses becomes one message that says which table and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from multimodal_search.errors import DataError, require

TABLES = (
    "category", "attribute", "visibility", "instance", "sensor", "calibrated_sensor", "ego_pose", "log",
    "scene", "sample", "sample_data", "sample_annotation", "map",
)  # fmt: skip
_NEVER_EMPTY = ("sensor", "calibrated_sensor", "log", "scene", "sample", "sample_data", "map")


def open_tables(root: Path, version: str) -> Any:
    """``nuscenes.NuScenes`` over one version folder. Map pictures stay closed until somebody asks.

    Raises:
        MissingDependencyError: the devkit is not installed.
        DataError: folder, version or tables missing, or tables that the devkit refuses.
    """
    _check_folders(root, version)
    bomb_limit = Image.MAX_IMAGE_PIXELS
    devkit = require("nuscenes.nuscenes", extra="nuscenes")
    Image.MAX_IMAGE_PIXELS = bomb_limit  # importing the devkit lifts it for every image of the process
    try:
        return devkit.NuScenes(version=version, dataroot=str(root), verbose=False)
    except Exception as error:  # the devkit raises whatever its first stumble is
        raise _refused(root, version, error) from error


def can_bus(root: Path) -> Any | None:
    """``nuscenes.NuScenesCanBus``, or None where the expansion was not unpacked."""
    if not (root / "can_bus").is_dir():
        return None
    return require("nuscenes.can_bus.can_bus_api", extra="nuscenes").NuScenesCanBus(dataroot=str(root))


def official_splits(tables: Any, version: str) -> Mapping[str, str] | None:
    """Scene name -> ``train``, ``val`` or ``test``, where the devkit knows every scene of this version.

    A tree of somebody's own may reuse a few official names; half a split would be worse than none.
    """
    splits = require("nuscenes.utils.splits", extra="nuscenes").create_splits_scenes(verbose=False)
    prefix = "mini_" if version.endswith("mini") else ""
    known = {scene: name for name in ("train", "val", "test") for scene in splits.get(prefix + name, ())}
    names = [scene["name"] for scene in tables.scene]
    return {name: known[name] for name in names} if all(name in known for name in names) else None


def _check_folders(root: Path, version: str) -> None:
    if not root.is_dir():
        raise DataError(
            f"The nuScenes folder {root} does not exist.",
            where="--nuscenes-path",
            remedy="give the folder that holds v1.0-mini (or another version), samples and maps",
        )
    folder = root / version
    if not folder.is_dir():
        raise absent_version(root, version, "--nuscenes-path", "--nuscenes-version")
    missing = [name for name in TABLES if not (folder / f"{name}.json").is_file()]
    if missing:
        raise DataError(
            f"The nuScenes version {version!r} lacks {len(missing)} of {len(TABLES)} tables: "
            f"{', '.join(f'{name}.json' for name in missing)}.",
            where=folder,
            remedy="unpack the version's metadata again; a converter must write all tables, empty ones as []",
        )


def absent_version(root: Path, version: str, root_flag: str, version_flag: str) -> DataError:
    """What is there instead, and the flags that name it."""
    present = versions(root)
    if (root / "scene.json").is_file():
        remedy = f"give the folder above: {root_flag} {root.parent} {version_flag} {root.name}"
    elif present:
        remedy = f"{version_flag} {present[0]}"
    else:
        remedy = "unpack the metadata of nuScenes (v1.0-mini.tgz, v1.0-trainval_meta.tgz) there"
    return DataError(
        f"There is no version {version!r} of nuScenes; present: {', '.join(present) or 'none'}.",
        where=root,
        remedy=remedy,
    )


def versions(root: Path) -> list[str]:
    """Folders under the root that hold tables."""
    return sorted(path.parent.name for path in root.glob("*/scene.json"))


def _refused(root: Path, version: str, error: Exception) -> DataError:
    """Find the table that made the devkit fail; it does not say so itself."""
    folder = root / version
    what = f"The devkit cannot read the nuScenes version {version!r}: "
    remedy = "unpack the version's metadata again, or correct the converter that wrote it"
    for name in TABLES:
        path = folder / f"{name}.json"
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as fault:
            reason = f"{path.name} is not valid JSON: {fault.msg} (line {fault.lineno}, column {fault.colno})"
            return DataError(what + f"{reason}.", where=path, remedy=remedy)
        except (OSError, ValueError) as fault:
            return DataError(what + f"{path.name} cannot be read: {fault}.", where=path, remedy=remedy)
        if not isinstance(table, list):
            return DataError(what + f"{path.name} holds no list.", where=path, remedy=remedy)
        if not table and name in _NEVER_EMPTY:
            return DataError(what + f"{path.name} is empty.", where=path, remedy=remedy)
    text = str(error)
    if "map mask" in text:
        return DataError(
            what + f"{text}.", where=folder / "map.json", remedy="unpack maps/ from the version's metadata"
        )
    if isinstance(error, KeyError):
        text = f"a record lacks, or points to a missing, {text}"
    return DataError(what + f"{text or type(error).__name__}.", where=folder, remedy=remedy)
