"""``multimodal-search embed``: list, plan, compute on an engine, finish; a rerun does what is missing."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any

from multimodal_search import encoders, storage
from multimodal_search.embedding.destination import Destination, destination, ensure_writable
from multimodal_search.embedding.plan import plan_parts, plan_retries
from multimodal_search.embedding.progress import ADVICE, Meter
from multimodal_search.embedding.rescue import rescue
from multimodal_search.embedding.tasks import Hello, PartDone, PartTask
from multimodal_search.embedding.worker import BuildWorker, EncoderChoice
from multimodal_search.engines import Session, open_engine
from multimodal_search.errors import DataError, EncoderError, SettingsError
from multimodal_search.settings import EmbedSettings
from multimodal_search.sources.inputs import Inputs, open_inputs
from multimodal_search.storage import S3Options, configure_s3, default_features_dir
from multimodal_search.tables import FeatureTable, PlannedTable, TableInfo, claim_target, write_single_file
from multimodal_search.types import Modality

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did.

    Attributes:
        rows: in the table now.
        new: inputs that this run computed, failed ones included.
        found: inputs that needed nothing.
        failed: inputs without a row.
    """

    table: FeatureTable
    rows: int
    new: int
    found: int
    failed: int


def run(settings: EmbedSettings) -> Summary:
    """Embed everything that the settings name.

    Raises:
        SettingsError: flags that contradict each other.
        DataError: no inputs, or none of them usable; S3 cannot be reached.
        EncoderError: the encoder cannot be had, or the table was made by another one.
        OutputError: the output cannot be written, or another run writes to it.
    """
    configure_s3(S3Options(**settings.s3_options()))
    where = destination(settings)
    inputs = open_inputs(settings, sample_dir=default_features_dir().parent / "sample")
    first = next(iter(inputs))  # an input that is not there is told of before anything is loaded
    noun = f"{inputs.modality.value}s"
    _log.info("%s %s from %s, for example %s", _many(inputs.count), noun, inputs.root, first.id)
    ensure_writable(where)
    build = build_worker(settings, inputs.modality, where)
    engine = open_engine(
        settings.engine,
        num_processes=settings.num_processes,
        device=settings.device,
        ray_address=settings.ray_address,
    )
    with Meter(lambda: inputs.count, noun, show=True) as meter, engine.open(build) as session:
        hello: Hello = session.hello
        _log.info("%s on %s (%s)", hello.card.name, hello.device, hello.precision)
        info = table_info(settings, hello, inputs)
        with PlannedTable(where.parts_url, info, overwrite=settings.overwrite) as table:
            if settings.overwrite and where.unfinished is not None:
                shutil.rmtree(where.unfinished, ignore_errors=True)
            if where.kind != "table":
                claim_target(where.url, where.parts_url, kind=where.kind, overwrite=settings.overwrite)
            meter.start()
            save = partial(rescue, s3=storage.current_s3(), at_least_px=hello.decode_at_least_px)
            _compute(settings, inputs, session, table, info, meter, save)
            table.list_failures(inputs.failures)
    _tell(meter, table, where)
    if not table.rows:
        raise _nothing(inputs, table)
    if where.unfinished is not None:
        shutil.rmtree(where.unfinished, ignore_errors=True)
    _finish(settings, where, table.table)
    return Summary(table.table, table.rows, meter.rows, meter.found, table.failed)


def build_worker(settings: EmbedSettings, modality: Modality, where: Destination) -> BuildWorker:
    """What makes the workers."""
    return BuildWorker(
        encoder=encoder_choice(settings, modality),
        store_url=where.parts_url,
        s3=storage.current_s3(),
        unfinished=where.unfinished,
        batch_size=settings.batch_size * settings.batch_per_inference,
        num_workers=settings.num_workers,
        num_threads=settings.num_threads,
        fast=settings.decode == "fast",
        phash=settings.hash == "phash",
    )


def encoder_choice(settings: EmbedSettings, modality: Modality) -> EncoderChoice:
    """The encoder that the settings name, or the data's default.

    Raises:
        SettingsError: an option of pictures is given for texts, or one of grids without a grid.
    """
    name, weights = settings.encoder, settings.weights
    if name is None:
        name, default = encoders.default_encoders(settings.use_sample_data)[modality]
        weights = weights or default
    if settings.grid_size and settings.pool != "grid":
        raise SettingsError("--grid-size is for --pool grid.", remedy="add --pool grid, or leave it out")
    options: dict[str, Any] = {}
    if modality is Modality.IMAGE:
        if settings.grid_size:
            options["grid"] = (settings.grid_size, settings.grid_size)
        if settings.image_size:
            options["image_size"] = settings.image_size
        if settings.resize:
            options["resize"] = settings.resize
    elif settings.grid_size or settings.image_size or settings.resize or settings.hash != "none":
        raise SettingsError(
            "--grid-size, --image-size, --resize and --hash are for pictures.", remedy="leave them out"
        )
    if not settings.normalize:
        options["normalise"] = False
    return EncoderChoice(
        name, modality, weights, settings.pool, options, settings.precision, settings.compile
    )


def table_info(settings: EmbedSettings, hello: Hello, inputs: Inputs) -> TableInfo:
    """What all rows of the table have in common.

    Raises:
        EncoderError: grids whose shape is not fixed.
    """
    card = hello.card
    grid = card.options.get("grid") if card.pool == "grid" else None
    if card.pool == "grid" and grid is None:
        raise EncoderError(
            f"{card.name} takes pictures of any size, so that its grids differ in shape.",
            remedy="name one shape: --grid-size 7 or 14",
        )
    return TableInfo(
        fingerprint=hello.fingerprint,
        dim=card.dim,
        card=card,
        normalised=card.normalise,
        dtype=settings.dtype,
        patches=None if grid is None else int(grid[0] * grid[1]),
        source={"kind": inputs.kind, "root": inputs.root},
        settings={
            "decode": settings.decode if card.modality is Modality.IMAGE else "exact",
            "precision": hello.precision,
            "hash": settings.hash,
        },
    )


def _compute(
    settings: EmbedSettings,
    inputs: Inputs,
    session: Session,
    table: PlannedTable,
    info: TableInfo,
    meter: Meter,
    save: Callable[[PartTask], PartTask | None],
) -> None:
    """The plan, then what failed in an earlier run and may work now."""
    per_part = settings.rows_per_part
    again = len(table.to_try_again())

    def do(tasks: Iterator[PartTask]) -> None:
        for report in session.map(tasks, rescue=save):
            if report.finished:
                done: PartDone = report.value
                table.add(done.part, done.failed)
                meter.add(done.progress)
            else:
                meter.add(report.value)

    do(plan_parts(inputs, table, info, per_part, meter.skip))
    if again:
        do(plan_retries(table, info, per_part, ceil((inputs.count or 0) / per_part)))


def _finish(settings: EmbedSettings, where: Destination, table: FeatureTable) -> None:
    if where.kind == "table":
        return
    begin = time.monotonic()
    written = write_single_file(
        table,
        where.url,
        kind=where.kind,
        compression=settings.compression,
        id_pattern=settings.id_pattern,
        overwrite=settings.overwrite,
    )
    if written:
        _log.info("wrote %s in %.1f s", where.url, time.monotonic() - begin)
    else:
        _log.info("%s is up to date", where.url)


def _tell(meter: Meter, table: PlannedTable, where: Destination) -> None:
    if meter.found:
        _log.info("%d were there already", meter.found)
    if meter.rows:
        _log.info(
            "%d new at %.1f a second, bound by %s (%.0f %% of the time); what helps: %s",
            meter.rows,
            meter.rows_per_second,
            meter.bound,
            100 * meter.bound_share,
            ADVICE[meter.bound],
        )
    if table.failed:
        _log.warning("%d could not be embedded: %s/failures.jsonl says why", table.failed, where.parts_url)
    _log.info("%d rows in %s", table.rows, where.parts_url)


def _nothing(inputs: Inputs, table: PlannedTable) -> DataError:
    reasons = "; ".join(dict.fromkeys(one.reason for one in table.table.failures()[:1000]))
    return DataError(
        f"None of the {_many(inputs.count)} {inputs.modality.value}s could be embedded ({reasons[:300]}).",
        where=inputs.root,
        remedy="check that the files are whole pictures, and that they can be read",
    )


def _many(count: int | None) -> str:
    return "unknown number of" if count is None else str(count)
