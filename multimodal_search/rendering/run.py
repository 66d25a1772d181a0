"""``multimodal-search render``: list, ask what is missing, render it in processes, list what failed."""

from __future__ import annotations

import dataclasses
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from multimodal_search.engines.devices import core_count
from multimodal_search.errors import DataError
from multimodal_search.rendering.crew import Crew, Task
from multimodal_search.rendering.record import FAILURES, Record
from multimodal_search.rendering.renderer import parse_colour
from multimodal_search.rendering.specimens import Specimen, list_specimens
from multimodal_search.rendering.views import Looks, view_path
from multimodal_search.settings import RenderSettings
from multimodal_search.storage import ensure_writable_folder, output_error
from multimodal_search.tables.lock import FolderLock

_log = logging.getLogger(__name__)

_SAVE_SECONDS = 5.0
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a run did.

    Attributes:
        ids: of specimens with views now.
        new: of these, rendered by this run.
        failed: without views; failures.jsonl says why.
    """

    ids: tuple[str, ...]
    new: int
    failed: int


def run(settings: RenderSettings, **crew: Any) -> Rendered:
    """Render every specimen of a folder that has no views yet.

    Args:
        crew: other arguments of ``Crew``, for tests.

    Raises:
        DataError: no folder, no meshes, or none of them can be rendered.
        OutputError: views of another renderer or other settings are there; a full disk.
        MissingDependencyError: a package that the renderer needs.
        ProjectError: the renderer cannot be started.
    """
    parse_colour(settings.background)
    specimens = list_specimens(settings.input)
    out = ensure_writable_folder(settings.out)
    lock = FolderLock(out)
    lock.acquire(wait_seconds=0)
    try:
        record = Record(out)
        rendered = _render(settings, specimens, record, crew)
        failures = record.failures(specimens)
        record.write_failures(failures)
    finally:
        lock.release()
    for one in failures[:_SHOWN]:
        _log.warning("%s: %s", one.path, one.reason)
    if failures:
        _log.warning("%d specimens have no views: %s says why", len(failures), out / FAILURES)
    if len(failures) == len(specimens):
        raise DataError(
            f"None of the {len(specimens)} specimens can be rendered ({failures[0].reason}).",
            where=settings.input,
            remedy=f"{out / FAILURES} says why of each",
        )
    if others := record.others(specimens):
        _log.warning(
            "views of %d specimens whose files are gone stay, for example %s", len(others), others[0]
        )
    without = {one.id for one in failures}
    done = tuple(one.id for one in specimens if one.id not in without)
    _log.info("%d specimens, %d views each, in %s", len(done), settings.views, out)
    return Rendered(done, rendered, len(failures))


def looks_of(settings: RenderSettings) -> Looks:
    """How the settings look at specimens."""
    return Looks(
        views=settings.views,
        size=settings.size,
        seed=settings.seed,
        elevations=tuple(settings.elevations),
        background="#{:02x}{:02x}{:02x}".format(*parse_colour(settings.background)),
        up=settings.up,
        align=settings.align,
        format=settings.format,
    )


def _render(settings: RenderSettings, specimens: list[Specimen], record: Record, crew: dict[str, Any]) -> int:
    """Render what is missing; returns how many views' owners are new."""
    looks = looks_of(settings)
    told = {
        "renderer": settings.renderer,
        "looks": dataclasses.asdict(looks),
        "timeout_seconds": settings.timeout_seconds,
        "memory_gb": settings.memory_gb,
    }
    count = min(settings.num_processes or core_count(), len(specimens))
    workers = Crew(count, told, **crew)
    try:
        # also where nothing is missing: only the renderer knows its version
        name, version = workers.hello()
        record.claim(
            {
                "renderer": name,
                "version": version,
                **dataclasses.asdict(looks),
                "elevations": [*looks.elevations],
            },
            overwrite=settings.overwrite,
        )
        missing = [one for one in specimens if not record.is_done(one, _names(one, looks))]
        if len(missing) < len(specimens):
            _log.info("%d of %d specimens were there already", len(specimens) - len(missing), len(specimens))
        if not missing:
            return 0
        _log.info("rendering %d specimens with %s %s in %d processes", len(missing), name, version, count)
        return _work(workers, Path(settings.out), missing, record)
    finally:
        workers.close()


def _work(workers: Crew, out: Path, missing: list[Specimen], record: Record) -> int:
    known = {one.id: one for one in missing}
    tasks = [Task(one.id, str(one.file), str(out)) for one in missing]
    new, began, saved = 0, time.monotonic(), time.monotonic()
    try:
        for outcome in tqdm(
            workers.run(tasks),
            total=len(tasks),
            desc="rendering",
            unit="specimen",
            delay=2.0,
            mininterval=1.0,
            leave=False,
        ):
            record.note(known[outcome.task.id], outcome)
            new += outcome.reason is None
            for note in outcome.notes:
                _log.info("%s: %s", outcome.task.id, note)
            if time.monotonic() - saved > _SAVE_SECONDS:
                record.save()
                saved = time.monotonic()
    except OSError as error:
        raise output_error(error, Path(error.filename or out)) from error
    finally:
        record.save()
    _log.info("%d rendered in %.1f s", new, time.monotonic() - began)
    return new


def _names(specimen: Specimen, looks: Looks) -> list[str]:
    return [str(view_path(Path(), specimen.id, view, looks)) for view in range(looks.views)]
