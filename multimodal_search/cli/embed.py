"""``multimodal-search embed``: features of millions of images or texts."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import leaving_the_reason, set_up
from multimodal_search.errors import OutputError
from multimodal_search.settings import EmbedSettings, parse


def main(argv: Sequence[str]) -> int:
    """Embed, or say how long it would take."""
    with leaving_the_reason():
        return _embed(argv)


def _embed(argv: Sequence[str]) -> int:
    settings = parse(EmbedSettings, argv, prog="multimodal-search embed", summary=COMMANDS["embed"])
    set_up(settings)
    with _log_file(settings):
        if settings.estimate:
            from multimodal_search.embedding.estimate import estimate

            print(estimate(settings))
            return 0
        from multimodal_search.embedding.bulk import run

        summary = run(settings)
        if settings.verify:
            from multimodal_search.embedding.verify import verify

            print(verify(settings, summary.table))
    return 0


@contextlib.contextmanager
def _log_file(settings: EmbedSettings) -> Iterator[None]:
    """Everything that is logged also goes to ``<dataset>_<index>.txt``."""
    if settings.log_dir is None:
        yield
        return
    path = settings.log_dir / f"{settings.dataset or 'embed'}_{settings.process_index}.txt"
    try:
        settings.log_dir.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"The log file cannot be written ({error.strerror}).", where=path, remedy="another --log-dir"
        ) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("multimodal_search")
    logger.addHandler(handler)
    try:
        yield
    except BaseException as error:
        logger.debug("ended by %s: %s", type(error).__name__, error)
        handler.handle(
            logger.makeRecord(
                logger.name, logging.ERROR, __file__, 0, f"{type(error).__name__}: {error}", (), None
            )
        )
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()
