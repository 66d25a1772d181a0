"""The bundle that is being served, and a newer one in its place as soon as there is one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from multimodal_search.projectors.bundle import INFO_FILE
from multimodal_search.search.hits import Hit
from multimodal_search.search.options import wanted
from multimodal_search.search.parts import Part
from multimodal_search.search.searcher import Searcher
from multimodal_search.serving.answers import Config
from multimodal_search.serving.batching import Batcher
from multimodal_search.serving.map_data import MapData
from multimodal_search.serving.map_places import scene_texts
from multimodal_search.serving.measuring import Metrics
from multimodal_search.serving.problems import Refused
from multimodal_search.types import Modality

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
Stamp = tuple[int, int, int]


class Opened:
    """A bundle that is open; a request keeps the one it began with.

    Attributes:
        searcher: answers.
        batcher: encodes for it.
        config: what the page is told of it, once it was.
    """

    def __init__(self, searcher: Searcher, metrics: Metrics) -> None:
        self.searcher = searcher
        self.batcher = Batcher(searcher.common, metrics.encoded)
        self.config: Config | None = None
        self._making = threading.Lock()

    @cached_property
    def _map(self) -> MapData:
        return MapData(self.searcher)

    @property
    def map(self) -> MapData:
        """Where the moments lie; made when it is first asked for."""
        with self._making:
            return self._map

    @cached_property
    def _texts(self) -> dict[str, list[str]]:
        return scene_texts(self.searcher.folder)

    def texts(self, hit: Hit) -> list[str]:
        """All descriptions of a moment that are known, its own first."""
        of_scene = self._texts.get(hit.scene_id, [])
        others = of_scene if of_scene[:1] == [hit.text] else []
        return [hit.text, *others[1:]] if hit.text else []

    @cached_property
    def count(self) -> int:
        """How many moments there are."""
        return len(self.searcher)

    def moment(self, one: str) -> Hit:
        """A moment by its id.

        Raises:
            Refused: there is none (404).
        """
        rows = self.searcher.having(one)
        if not rows.has(one):
            raise Refused(404, "There is no moment of this id.")
        return rows.hit(one)

    def scene(self, one: str) -> list[str]:
        """The moments of a moment's scene, in order of time."""
        return self.searcher.having(one).scene(one)

    def warm(self) -> None:
        """Open and touch what the first query would have to wait for."""
        searcher = self.searcher
        for modality in Modality:
            if modality.value in set(searcher.columns["type"].unique().to_pylist()):
                rows = searcher.rows(modality)
                rows.has("")
                rows.nearest(np.eye(1, rows.dim)[0], wanted(1))
        if Modality.TEXT in searcher.modalities:
            self.batcher.vector(Part("text", "rain"))
        self.map.place("")


class Served:
    """The bundle in a folder, and its successors.

    Args:
        folder: that training wrote.
        device: where queries are encoded.
    """

    def __init__(self, folder: Path, device: str, metrics: Metrics) -> None:
        self._folder = folder
        self._device = device
        self._metrics = metrics
        self._stop = threading.Event()
        self._stamp = self._look()
        self._current = self._open()

    @property
    def current(self) -> Opened:
        """The newest one; take it once a request."""
        return self._current

    def watch(self) -> Callable[[], None]:
        """Look for a newer one from now on; returns what ends that."""
        thread = threading.Thread(target=self._watch, name="bundle", daemon=True)
        thread.start()
        return self._stop.set

    def refresh(self) -> bool:
        """Swap a changed bundle in; the old one stays where the new one cannot be used."""
        stamp = self._look()
        if stamp is None or stamp == self._stamp:
            return False
        try:
            opened = self._open()
        except Exception as error:  # whatever is wrong with it: the old one still answers
            if self._look() == stamp:  # else it is being written, and is looked at again
                self._stamp = stamp
                self._metrics.reloaded(done=False)
                _log.error("the changed bundle cannot be used, the former one still answers: %s", error)
            return False
        self._current, self._stamp = opened, stamp
        self._metrics.reloaded(done=True)
        _log.info("the bundle has changed: %d moments", opened.count)
        return True

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            self.refresh()

    def _open(self) -> Opened:
        opened = Opened(Searcher.open(self._folder, self._device), self._metrics)
        opened.warm()
        return opened

    def _look(self) -> Stamp | None:
        try:
            status = (self._folder / INFO_FILE).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size
