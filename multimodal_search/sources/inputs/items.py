"""The pictures of the main job's sources, under the ids that training asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice

from multimodal_search.errors import DataError, SkipInput
from multimodal_search.sources.base import Source
from multimodal_search.sources.identity import image_paths
from multimodal_search.storage import S3_THREADS, is_s3
from multimodal_search.types import Failure, Input, Modality

_AHEAD = 256


class ItemInputs:
    """Each different picture of a source's items, in the items' order.

    Args:
        source: where the items come from.
        cameras: whose pictures.
    """

    modality = Modality.IMAGE

    def __init__(self, source: Source, cameras: Sequence[str]) -> None:
        self.kind = source.kind
        self.root = str(source.root)
        self._source = source
        self._cameras = tuple(cameras)

    @property
    def failures(self) -> list[Failure]:
        """Pictures that the source names and that are not there."""
        return self._source.failures

    @property
    def count(self) -> int:
        """How many different pictures."""
        return len(self._paths)

    def __iter__(self) -> Iterator[Input]:
        """In the items' order.

        Raises:
            DataError: the source cannot be read, or its items have no pictures.
        """
        if not any(map(is_s3, self._paths)):
            yield from map(self._input, self._paths)
            return
        paths = iter(self._paths)
        with ThreadPoolExecutor(S3_THREADS) as pool:  # a request each tells an s3:// picture's key
            while ahead := list(islice(paths, _AHEAD)):
                yield from pool.map(self._input, ahead)

    @cached_property
    def _paths(self) -> tuple[str, ...]:
        items = self._source.items()
        paths = dict.fromkeys(path for item in items for path in image_paths(item, self._cameras))
        if not paths:
            raise DataError(
                f"None of the {len(items)} items has a picture.",
                where=self.root,
                remedy=f"choose other cameras than --cameras {' '.join(self._cameras)}",
            )
        return tuple(paths)

    def _input(self, path: str) -> Input:
        location = str(self._source.image_file(path))
        try:
            return Input(path, self._source.image_key(path), location)
        except (OSError, SkipInput):  # gone since, or refused: the reading lists it
            return Input(path, "", location)
