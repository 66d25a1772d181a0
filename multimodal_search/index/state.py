"""The files of an index, and the small JSON that says which of them hold.

``moments.faiss`` is a plain Faiss file of the rows that were there when it was written. Beside it,
``moments.faiss.files`` holds ids, metadata and vectors, and ``state.json``. Every file but these two is
written once, under a name that no other file ever has, and never changed; a change is one atomic replacement
of ``state.json``. A new Faiss file waits in the folder, as ``index-<number>-<random>.faiss``, until the state
that needs it is written, and takes its public name after that; whoever opens the index looks for the waiting
file first.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from multimodal_search.errors import BundleError
from multimodal_search.index.metric import Metric
from multimodal_search.storage import fsync_folder, output_error, write_json

FORMAT = "multimodal-search/index"
VERSION = 1
STATE = "state.json"


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows that were written together.

    Attributes:
        names: file of ids and metadata.
        vectors: file of the vectors; None where they are the last bytes of the Faiss file itself (flat).
        left_out: how many have no usable vector (NaN, infinity, zeros).
    """

    rows: int
    names: str
    vectors: str | None
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """What holds.

    Attributes:
        generation: grows by one with every change.
        index_file: the Faiss file's name before it takes its public one.
        indexed: how many rows, the first ones, the Faiss file knows; those after are compared one by one.
        kind: flat, hnsw, ivfflat, ivfpq or sq8.
        dtype: of the stored vectors.
        gone: file of the rows that are never found: deleted or not usable; None where there are none.
        lists: file with each indexed row's list (IVF kinds).
        knobs: what the search was tuned to: ``nprobe`` or ``ef``, and ``rerank``.
        info: what was measured, and why this kind.
    """

    generation: int
    index_file: str
    indexed: int
    kind: str
    metric: Metric
    dim: int
    dtype: str
    fingerprint: str | None
    segments: tuple[Segment, ...]
    gone: str | None = None
    gone_rows: int = 0
    lists: str | None = None
    knobs: Mapping[str, int] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """All rows, those that are gone among them."""
        return sum(one.rows for one in self.segments)

    def files(self) -> list[str]:
        """Names in the folder that this state needs, without ``state.json``."""
        named = [name for one in self.segments for name in (one.names, one.vectors)]
        return [name for name in (*named, self.gone, self.lists) if name is not None]


class Files:
    """Where the files of one index are.

    Attributes:
        public: the Faiss file that the user named.
        folder: beside it.
    """

    def __init__(self, path: str | Path) -> None:
        self.public = Path(path).expanduser()
        self.folder = self.public.with_name(self.public.name + ".files")

    def read(self) -> State:
        """The state that holds now.

        Raises:
            BundleError: there is none, or it cannot be understood.
        """
        path = self.folder / STATE
        try:
            return parse_state(path.read_bytes(), path)
        except (FileNotFoundError, NotADirectoryError):
            raise BundleError(
                "There is no index here."
                if not self.public.exists()
                else f"The folder {self.folder.name} beside the index is missing; it has the ids.",
                where=self.public,
                remedy="name the file that 'multimodal-search index --out' wrote, and keep both together",
            ) from None
        except OSError as error:
            raise BundleError(
                f"The index's state cannot be read ({error.strerror}).",
                where=path,
                remedy="check permissions",
            ) from error

    def is_there(self) -> bool:
        """Whether there is a state."""
        return (self.folder / STATE).is_file()

    def faiss(self, state: State) -> Path:
        """The Faiss file of a state."""
        waiting = self.folder / state.index_file
        return waiting if waiting.exists() else self.public

    def commit(self, state: State) -> None:
        """Make a state hold: from here on it is what a crash leaves.

        Raises:
            OutputError: it cannot be written; the state before holds.
        """
        write_json(
            self.folder / STATE, {"format": FORMAT, "version": VERSION, "state": asdict(state)}, indent=1
        )
        self.tidy(state)

    def tidy(self, state: State) -> None:
        """Give a waiting Faiss file its public name and remove what no state needs; for the writer only."""
        waiting = self.folder / state.index_file
        if waiting.exists():
            try:
                waiting.replace(self.public)
            except OSError as error:
                raise output_error(error, self.public) from error
            fsync_folder(self.public.parent)
        wanted = {STATE, ".lock", *state.files()}
        for path in self.folder.iterdir():
            if path.name not in wanted:
                with contextlib.suppress(OSError):  # Windows keeps files that a reader has open
                    path.unlink()


def new_file(kind: str, generation: int, suffix: str) -> str:
    """A name that no file has, here or in a backup."""
    return f"{kind}-{generation:06d}-{secrets.token_hex(4)}{suffix}"


def parse_state(content: bytes, where: object) -> State:
    """What ``state.json`` says.

    Raises:
        BundleError: it cannot be understood.
    """
    try:
        found = json.loads(content)
        if found["format"] != FORMAT or found["version"] != VERSION:
            raise ValueError(f"it is {found['format']} version {found['version']}")
        state = dict(found["state"])
        segments = tuple(Segment(**one) for one in state.pop("segments"))
        return State(segments=segments, **state)
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"The index's state cannot be understood ({error}).",
            where=where,
            remedy="restore it from its backup, or build it again",
        ) from error
