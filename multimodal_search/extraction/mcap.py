"""MCAP recordings -> items, pictures and signals: the command."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from multimodal_search.errors import DataError, OutputError
from multimodal_search.extraction.mcap_inputs import find_recordings
from multimodal_search.extraction.mcap_listing import listing
from multimodal_search.extraction.mcap_plan import Opened, make_plan, open_all, shown_addresses
from multimodal_search.extraction.mcap_recording import Plan, RecordingReader
from multimodal_search.extraction.mcap_texts import SideTexts, notes_of_metadata
from multimodal_search.extraction.writing import Channel, ExtractedWriter
from multimodal_search.settings.extraction import ExtractSettings
from multimodal_search.storage import write_json
from multimodal_search.types import Failure

logger = logging.getLogger("multimodal_search")

_DEFAULT_FOLDER = Path("extracted_data")
_DONE_FILE = ".mcap-recordings.json"  # name -> content key, and whether it was read to its end


def extract_mcap(settings: ExtractSettings) -> int:
    """Cut recordings into windows and write them, or list what they hold.

    Returns:
        The exit code: 0.

    Raises:
        DataError: no recording can be used, or a named topic or field is not there.
        SettingsError: a map that is none.
        OutputError: the folder cannot be written, or holds something else.
    """
    recordings = find_recordings(settings.mcap)
    if settings.list_topics:
        _, failures = open_all(
            recordings,
            lambda one, examples: print(
                listing(one.recording, one.survey, one.decoders, examples), end="\n\n"
            ),
        )
        return 0
    side = SideTexts(settings.text_csv) if settings.text_csv else None
    plan, channels, opened, failures = make_plan(settings, recordings)
    folder = Path(settings.output_dir or _DEFAULT_FOLDER)
    with ExtractedWriter(folder, _made_from(settings, plan), overwrite=settings.overwrite) as writer:
        for failure in failures:
            writer.fail(failure)
        try:
            counts = _write_all(settings, plan, opened, side, writer)
        finally:
            if writer.finished:  # also what there is when somebody interrupts
                writer.finish(channels, settings.rate_hz)
        if not writer.finished:
            raise DataError(
                "No window holds a signal or a picture.",
                where=shown_addresses(opened),
                remedy=f"see {folder / 'failures.jsonl'}, and --list for what is there",
            )
        _tell_end(folder, writer, counts, channels)
    if len(opened) == 1 and settings.stride_seconds < settings.window_seconds:
        logger.warning(
            "one recording whose windows overlap: training would hold out what it has half seen, and its "
            "figures would flatter; add recordings, or --stride-seconds %g",
            settings.window_seconds,
        )
    for file in side.unused() if side else ():
        logger.warning("%s names %r, which is none of the recordings", settings.text_csv, file)
    return 0


def _write_all(
    settings: ExtractSettings,
    plan: Plan,
    opened: Sequence[Opened],
    side: SideTexts | None,
    writer: ExtractedWriter,
) -> Counter[str]:
    done_file = writer.folder / _DONE_FILE
    done = _read_done(done_file) if writer.finished else {}
    counts: Counter[str] = Counter()
    total_bytes = sum(one.survey.size_bytes for one in opened)
    with tqdm(total=total_bytes, unit="B", unit_scale=True, desc="recordings", disable=None) as bar:
        for one in opened:
            recording = one.recording
            key, whole = done.get(recording.name, (recording.key, False))
            if key != recording.key:
                raise OutputError(
                    f"{recording.name} was extracted before from a file that has changed since.",
                    where=recording.address,
                    remedy="--overwrite to begin again, or another --output-dir",
                )
            if whole:
                bar.update(one.survey.size_bytes)
                continue
            if _enough(settings, writer):
                break
            done[recording.name] = (recording.key, False)
            write_json(done_file, done)
            if _write_one(settings, plan, one, side, writer, bar, counts):
                done[recording.name] = (recording.key, True)
                write_json(done_file, done)
    return counts


def _write_one(
    settings: ExtractSettings,
    plan: Plan,
    one: Opened,
    side: SideTexts | None,
    writer: ExtractedWriter,
    bar: Any,
    counts: Counter[str],
) -> bool:
    """Whether the recording was read to its end."""
    recording = one.recording
    notes = notes_of_metadata(one.survey.metadata)
    notes += side.of(recording.address, recording.name) if side else []
    reader = RecordingReader(
        recording,
        one.survey,
        one.decoders,
        one.signals,
        notes,
        plan,
        writer.add_image,
        set(writer.finished),
    )
    with recording.open() as (file, _):
        for scene in reader.scenes(file, bar.update):
            writer.add(scene.record, scene.series)
            counts["windows"] += 1
            counts["texts"] += bool(scene.record["description"])
            if _enough(settings, writer):
                return False
    counts["recordings"] += 1
    left_out = [*one.survey.damage]
    left_out += [
        f"{reason} ({times} times)" if times > 1 else reason for reason, times in reader.problems.items()
    ]
    for reason in left_out:
        writer.fail(Failure(recording.name, recording.address, reason))
        logger.warning("%s: %s", recording.address, reason)
    return True


def _enough(settings: ExtractSettings, writer: ExtractedWriter) -> bool:
    return settings.num_scenes is not None and len(writer.finished) >= settings.num_scenes


def _made_from(settings: ExtractSettings, plan: Plan) -> dict[str, Any]:
    """What decides a window's content. Not which recordings: more may be added to a folder."""
    texts = {"text_csv": _digest(settings.text_csv), "signal_map": settings.signal_map or settings.guess}
    if settings.signal_map and Path(settings.signal_map).is_file():
        texts["signal_map"] = _digest(Path(settings.signal_map))
    return {"source": "mcap", **asdict(plan), **texts}


def _digest(path: Path | None) -> str | None:
    """A file's name and content: when it was edited, what was made with it is not mixed with what comes."""
    return None if path is None else f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


def _read_done(path: Path) -> dict[str, tuple[str, bool]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): (str(key), bool(whole)) for name, (key, whole) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _tell_end(
    folder: Path, writer: ExtractedWriter, counts: Mapping[str, int], channels: Sequence[Channel]
) -> None:
    logger.info(
        "%s: %d windows (%d of this run, from %d recordings), %d signals%s",
        folder,
        len(writer.finished),
        counts["windows"],
        counts["recordings"],
        len(channels),
        f", {len(writer.failures)} notes on what was left out in failures.jsonl" if writer.failures else "",
    )
    if counts["windows"] and not counts["texts"]:
        logger.info(
            "no window has a text for words to find: --text-topic, --text-csv, or --describe for sentences"
        )
    series = " --include-timeseries" if channels else ""
    logger.info("next: python train.py --data-dir %s%s", folder, series)
