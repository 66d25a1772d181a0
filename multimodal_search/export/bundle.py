"""The bundle: every file of it, ``bundle.json`` last."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multimodal_search.analysis.layout import lay_out
from multimodal_search.export.moments import MomentVectors, project_moments
from multimodal_search.export.plots import MAP_FILE, TRAINING_FILE, plot_map, plot_training
from multimodal_search.export.report import write_report
from multimodal_search.export.scenes_map import FILE as SCENES_FILE
from multimodal_search.export.scenes_map import scene_vectors, write_scenes_map
from multimodal_search.export.vector_db import FILE as DATABASE_FILE
from multimodal_search.export.vector_db import write_vector_db
from multimodal_search.export.vectors import VECTORS_FOLDER, write_vectors
from multimodal_search.projectors.bundle import (
    INFO_FILE,
    BundleInfo,
    projector_file,
    save_projectors,
    write_bundle_info,
)
from multimodal_search.projectors.heads import Projector
from multimodal_search.settings import Settings, dump_settings
from multimodal_search.splits import Splits
from multimodal_search.storage import (
    ensure_writable_folder,
    fsync_folder,
    output_error,
    write_atomically,
    write_json,
)
from multimodal_search.types import Failure, Modality, MomentFeatures

METRICS_FILE, REPORT_FILE, SETTINGS_FILE = "metrics.json", "report.md", "settings.yaml"
FAILURES_FILE = "failures.jsonl"
PARTIAL_FOLDER = ".bundle.partial"


@dataclass(frozen=True, slots=True)
class BundleContents:
    """All that a bundle is made of.

    Attributes:
        info: becomes ``bundle.json``.
        projectors: the heads, on any device.
        features: all items, with the features that go through the heads.
        metrics: the content of ``metrics.json``.
        settings: becomes ``settings.yaml``.
        history: an entry an epoch; empty where nothing was trained.
        chosen: what was decided, for the report: modality -> start or trained, encoder -> score.
        seed: of the map.
    """

    info: BundleInfo
    projectors: Mapping[Modality, Projector]
    features: MomentFeatures
    splits: Splits
    metrics: Mapping[str, Any]
    settings: Settings
    history: Sequence[Mapping[str, float]] = ()
    chosen: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


def write_bundle(contents: BundleContents, output_dir: Path | str) -> Path:
    """Write every file of the bundle, whole or not at all.

    All files are made in a folder beside their place first, so that a full disk or a kill leaves an older
    bundle as it was. Then the older ``bundle.json`` is removed, the files are renamed into place, and the new
    ``bundle.json`` comes last: while it is there, all the other files belong to it.

    Raises:
        OutputError: the disk is full, or the folder is not writable.
    """
    folder = ensure_writable_folder(output_dir)
    partial = folder / PARTIAL_FOLDER
    _remove(partial)  # of a killed run
    try:
        ensure_writable_folder(partial)
        _write_files(contents, partial, kept=folder)
        try:
            _publish(partial, folder, contents)
        except OSError as error:
            raise output_error(error, folder) from error
    finally:
        _remove(partial)
    return folder


def _write_files(contents: BundleContents, folder: Path, kept: Path) -> None:
    items = contents.features.items
    vectors = project_moments(contents.features, lambda m, rows: contents.projectors[m].project(rows))
    heads = save_projectors(folder, contents.projectors)
    write_vector_db(folder / DATABASE_FILE, items, vectors)
    write_vectors(folder / VECTORS_FOLDER, items, vectors, contents.info, heads)
    pictures = list(_pictures(folder, contents, vectors))
    if _keeps_curves(contents) and (kept / TRAINING_FILE).exists():
        pictures.append(TRAINING_FILE)
    write_json(folder / METRICS_FILE, dict(contents.metrics))
    with write_atomically(folder / SETTINGS_FILE, "w") as file:
        file.write(dump_settings(contents.settings))
    with write_atomically(folder / REPORT_FILE, "w") as file:
        file.write(_report(contents, pictures))
    if contents.features.failures:
        _write_failures(folder / FAILURES_FILE, contents.features.failures)
    write_bundle_info(folder, contents.info)


def _write_failures(path: Path, failures: Sequence[Failure]) -> None:
    """Every skipped input, as a feature table lists its own; the report has one example a reason."""
    with write_atomically(path) as file:
        for one in failures:
            line = {"id": one.id, "path": one.path, "reason": one.reason}
            file.write((json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))


def _keeps_curves(contents: BundleContents) -> bool:
    """Without a history the heads are those of an earlier run here, and so are its curves."""
    return not contents.history


def _publish(partial: Path, folder: Path, contents: BundleContents) -> None:
    """Renames only: the time without a ``bundle.json`` is milliseconds."""
    (folder / INFO_FILE).unlink(missing_ok=True)
    stale = [folder / projector_file(m) for m in Modality if m not in contents.projectors]
    if not contents.features.failures:
        stale.append(folder / FAILURES_FILE)
    if not _keeps_curves(contents):
        stale.append(folder / TRAINING_FILE)
    for path in stale:
        path.unlink(missing_ok=True)
    _remove(folder / VECTORS_FOLDER)
    for path in sorted(partial.iterdir()):
        if path.name != INFO_FILE:
            path.replace(folder / path.name)
    fsync_folder(folder)
    (partial / INFO_FILE).replace(folder / INFO_FILE)
    fsync_folder(folder)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise output_error(error, folder) from error


def _pictures(
    folder: Path, contents: BundleContents, vectors: Mapping[Modality, MomentVectors]
) -> Iterator[str]:
    """The map as JSON and as a picture, and the curves; the names of the pictures."""
    items = contents.features.items
    scenes, first = scene_vectors(items, vectors)
    coordinates = lay_out(scenes, contents.seed)
    write_scenes_map(folder / SCENES_FILE, items, first, coordinates)
    shown = [items[index] for index in first]
    plot_map(folder / MAP_FILE, shown, coordinates, unseen=frozenset(contents.splits.test))
    yield MAP_FILE
    if plot_training(folder / TRAINING_FILE, contents.history, val_scenes=len(contents.splits.val)):
        yield TRAINING_FILE


def _report(contents: BundleContents, pictures: Sequence[str]) -> str:
    info = contents.info
    return write_report(
        data=info.data,
        items=contents.features.items,
        failures=contents.features.failures,
        metrics=contents.metrics,
        encoders={
            m.value: f"{one.card.name} ({one.card.weights}), {one.card.dim}-d, {one.card.licence}"
            for m, one in info.encoders.items()
        },
        heads={m.value: f"{spec.kind}, {spec.in_dim} -> {spec.out_dim}" for m, spec in info.heads.items()},
        chosen=contents.chosen,
        notes=info.notes,
        licence=info.licence,
        files=pictures,
    )
