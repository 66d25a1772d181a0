"""``multimodal-search search``: ask a bundle, or plain vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import set_up
from multimodal_search.cli.places import bundle_at_hand, index_at_hand
from multimodal_search.cli.showing import show
from multimodal_search.errors import SettingsError
from multimodal_search.settings import SearchSettings, parse
from multimodal_search.storage import is_s3, output_file

if TYPE_CHECKING:
    from multimodal_search.search import Hit, Searcher, VectorSearcher

_PARTS = ("text", "image", "series", "id", "vector")
_AWAY = ("text", "image", "id")


def main(argv: Sequence[str]) -> int:
    """Print the best moments, and write them to a file if asked."""
    settings = parse(SearchSettings, argv, prog="multimodal-search search", summary=COMMANDS["search"])
    asked = query(settings)
    set_up(settings, quiet=settings.json_output)
    if settings.backend != "faiss" and settings.index is not None:
        raise SettingsError("--backend asks an engine for a bundle's rows; with --index there is no bundle.")
    from multimodal_search.search import check_format

    if settings.out is not None:
        check_format(Path(settings.out))
    with ExitStack() as places:
        out, montage = (
            None if place is None else places.enter_context(output_file(place))
            for place in (settings.out, settings.montage)
        )
        hits = _found(bundle_at_hand(settings) if settings.index is None else settings, asked, out, montage)
    show(hits, as_json=settings.json_output)
    return 0


def _found(
    settings: SearchSettings, asked: dict[str, Any], out: Path | None, montage: Path | None
) -> Sequence[Hit]:
    """The hits, which are also written where they should."""
    from multimodal_search.search import Searcher, write_hits

    with _opened(settings) as searcher:
        hits = searcher.search(
            **asked,
            k=settings.k,
            where=settings.where,
            after=settings.after,
            before=settings.before,
            against=settings.modality,
            metric=settings.metric,
            per_scene=settings.per_scene,
            diverse=settings.diverse,
            merge_seconds=settings.merge_seconds,
        )
    if out is not None:
        write_hits(out, hits)
    if montage is not None:
        from multimodal_search.search.montage import cells_of, write_montage

        if not isinstance(searcher, Searcher):
            raise SettingsError("--montage needs a bundle, which knows where its pictures are.")
        write_montage(cells_of(searcher, hits), montage)
    return hits


@contextmanager
def _opened(settings: SearchSettings) -> Iterator[Searcher | VectorSearcher]:
    """What is asked; an engine is open only so long."""
    from multimodal_search.search import Searcher, VectorSearcher

    if settings.index is not None:
        location: str | Path = settings.index
        if is_s3(location) and settings.index.endswith(".faiss"):
            location = index_at_hand(settings.index, "copies")
        yield VectorSearcher.open(location, ids=settings.ids, device=settings.device)
    elif settings.backend == "faiss":
        yield Searcher.open(settings.bundle, settings.device)
    else:
        from multimodal_search.cli.engines import engine_of

        with engine_of(settings, settings.bundle) as engine:
            yield Searcher.open(settings.bundle, settings.device, engine=engine)


def query(settings: SearchSettings) -> dict[str, Any]:
    """The parts and their weights, as ``search`` takes them.

    Raises:
        SettingsError: there is none, or weights that cannot be read.
    """
    weights = _weights(settings.weights)
    asked: dict[str, list[tuple[str, float]]] = {}
    for flag, kind, sign in (
        *((kind, kind, 1.0) for kind in _PARTS),
        *((f"not_{kind}", kind, -1.0) for kind in _AWAY),
    ):
        values = getattr(settings, flag)
        factors = weights.pop(flag, [1.0])
        if not values and factors != [1.0]:
            raise SettingsError(f"--weights {_shown(flag)}: the query has no --{_shown(flag)}.")
        if len(factors) not in (1, len(values)):
            raise SettingsError(
                f"--weights {_shown(flag)}: {len(factors)} weights for {len(values)} parts.",
                remedy="give one for all, or one a part: text=1:0.5",
            )
        each = factors * len(values) if len(factors) == 1 else factors
        found = [(value, sign * weight) for value, weight in zip(values, each, strict=True)]
        asked.setdefault(kind, []).extend(found)
    if weights:
        raise SettingsError(
            f"--weights {_shown(next(iter(weights)))}: no part of a query.",
            remedy=f"use {', '.join((*_PARTS, *(f'not-{kind}' for kind in _AWAY)))}",
        )
    given: dict[str, Any] = {kind: parts for kind, parts in asked.items() if parts}
    if not given:
        raise SettingsError(
            "Nothing to search for.",
            remedy="give --text WORDS, --image FILE, --series X.npy, --id ID, --vector X.npy, or several",
        )
    return given


def _weights(words: Sequence[str]) -> dict[str, list[float]]:
    """``text=1:0.5`` -> {"text": [1, 0.5]}."""
    found = {}
    for word in words:
        name, _, numbers = word.partition("=")
        try:
            found[name.replace("-", "_")] = [float(one) for one in numbers.split(":")]
        except ValueError:
            raise SettingsError(
                f"--weights {word!r} is not NAME=NUMBER.", remedy="for example text=2, or text=1:0.5"
            ) from None
    return found


def _shown(flag: str) -> str:
    return flag.replace("_", "-")
