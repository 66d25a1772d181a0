"""``multimodal-search search-all``: the neighbours of every row."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import set_up
from multimodal_search.cli.places import output_at_hand
from multimodal_search.errors import ProjectError
from multimodal_search.settings import SearchAllSettings, parse
from multimodal_search.storage import ensure_writable_folder


def main(argv: Sequence[str]) -> int:
    """Write a CSV a row and one Parquet file; say what was written."""
    settings = parse(
        SearchAllSettings, argv, prog="multimodal-search search-all", summary=COMMANDS["search-all"]
    )
    set_up(settings)
    from multimodal_search.analysis.neighbors_all import LOG, search_all

    with output_at_hand(settings) as local, _log_file(ensure_writable_folder(local.out) / LOG):
        search_all(local)
    return 0


@contextlib.contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """Everything that is logged, and what ended the run, also goes into a file."""
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("multimodal_search")
    logger.addHandler(handler)
    try:
        yield
    except ProjectError as error:
        handler.handle(logger.makeRecord(logger.name, logging.ERROR, __file__, 0, str(error), (), None))
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()
