"""``multimodal-search index``: build and measure an index, append, delete, copy; or fill another engine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import set_up
from multimodal_search.cli.places import index_at_hand, parent_of
from multimodal_search.errors import DataError, SettingsError
from multimodal_search.settings import IndexSettings, parse
from multimodal_search.storage import ensure_writable, is_s3

if TYPE_CHECKING:
    from multimodal_search.index import Index
    from multimodal_search.tables.vectors import VectorSet

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
_SHOWN_IDS = 5


def main(argv: Sequence[str]) -> int:
    """Do what the flags say and print what came of it."""
    settings = parse(IndexSettings, argv, prog="multimodal-search index", summary=COMMANDS["index"])
    set_up(settings)
    _budget(settings)
    if settings.backend != "faiss" or settings.format != "index":
        from multimodal_search.cli import engines

        if settings.format != "index":
            return engines.write_plain(settings, _vectors(settings))
        return engines.load_into(settings, _vectors(settings))
    if settings.backup is not None and is_s3(settings.backup):
        ensure_writable(settings.backup)
    with _out(settings) as out:
        return _change(settings, out)


def _change(settings: IndexSettings, out: Path) -> int:
    from multimodal_search import index

    if settings.restore is not None:
        index.restore(settings.restore, out)
        print(f"{out}: {len(index.load(out)):,} rows restored")
        return 0
    if settings.append:
        _append(settings, index.load(out))
    elif settings.embeddings is not None:
        built = index.build(
            _vectors(settings),
            out,
            kind=settings.type,
            metric=settings.metric,
            memory_budget_bytes=_budget(settings),
            target_recall=settings.target_recall,
            seed=settings.seed,
        )
        print("\n".join([str(out), *described(built)]))
    elif settings.delete is None and settings.backup is None:
        raise SettingsError("Nothing to do.", remedy="name vectors: --embeddings TABLE|BUNDLE|FILE")
    if settings.delete is not None:
        unwanted = _read_ids(settings.delete)
        print(f"{index.load(out).delete(unwanted):,} rows deleted")
    if settings.backup is not None:
        print(f"{index.backup(out, settings.backup)} files copied to {settings.backup}")
    return 0


def memory_bytes(text: str) -> int:
    """``2GB``, ``500 MiB``, ``1.5G`` -> bytes.

    Raises:
        SettingsError: it is no such size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?I?)B?", text.strip().upper())
    if found is None or found[2] not in _UNITS or float(found[1]) == 0:
        raise SettingsError(f"--memory-budget {text!r} is no size.", remedy="for example 2GB or 500MB")
    return int(float(found[1]) * _UNITS[found[2]])


def described(built: Index) -> list[str]:
    """What was chosen, why, and what it does, a line each."""
    info = built.info
    lines = [f"  kind       {info['kind']} ({info['metric']}, {info['dtype']}): {info['why']}"]
    if info["recall"] is not None:
        noisy = info["recall_perturbed"]
        lines.append(
            f"  recall@10  {info['recall']:.3f} on rows held out"
            + ("" if noisy is None else f", {noisy:.3f} on rows with a little noise")
            + f" ({info['queries']:,} queries against exact search)"
        )
        lines.append(f"  query      {info['milliseconds']:.2f} ms, one at a time")
    knobs = ", ".join(f"{name} {info[name]}" for name in ("nprobe", "ef", "rerank") if name in info)
    if knobs:
        lines.append(f"  tuned      {knobs}")
    lines.append(
        f"  bytes      {info['bytes']:,} the index, {info['disk_bytes']:,} with ids, metadata and vectors"
    )
    lines.append(f"  rows       {info['rows']:,} of {info['dim']} numbers, in {info['build_seconds']:.1f} s")
    if left := built.left_out:
        names = ", ".join(left[:_SHOWN_IDS]) + (", ..." if len(left) > _SHOWN_IDS else "")
        lines.append(f"  left out   {len(left):,} rows that are zero or not finite: {names}")
    return lines


def _append(settings: IndexSettings, opened: Index) -> None:
    vectors = _vectors(settings)
    added = opened.append(vectors, skip_known=True)
    print(f"{added:,} rows appended, {len(vectors) - added:,} were there; {len(opened):,} rows")


def _vectors(settings: IndexSettings) -> VectorSet:
    from multimodal_search.tables.vectors import open_vectors

    if settings.embeddings is None:
        raise SettingsError("--embeddings is required.", remedy="a feature table, a bundle, .parquet or .npy")
    return open_vectors(settings.embeddings, ids=settings.ids)


def _budget(settings: IndexSettings) -> int | None:
    return None if settings.memory_budget is None else memory_bytes(settings.memory_budget)


@contextmanager
def _out(settings: IndexSettings) -> Iterator[Path]:
    """The index file to work on; one on S3 is brought here where it is not built anew, and sent back."""
    bundle = Path(settings.embeddings or "").expanduser()
    if settings.out is not None and is_s3(settings.out):
        from multimodal_search import index

        place = parent_of(settings.out)
        ensure_writable(place)
        path = index_at_hand(settings.out, "outputs", fetch=settings.append or settings.embeddings is None)
        yield path
        print(f"{index.backup(path, place)} files sent to {place}")
    elif settings.out is not None:
        yield Path(settings.out).expanduser()
    elif settings.embeddings is not None and (bundle / "bundle.json").is_file():
        yield bundle / "vectors" / "index.faiss"
    else:
        raise SettingsError(
            "--out is required.", remedy="name the index file, for example --out moments.faiss"
        )


def _read_ids(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The ids cannot be read ({error}).", where=path, remedy="one id a line") from error
    return [line.removesuffix("\r") for line in lines if line.strip()]
