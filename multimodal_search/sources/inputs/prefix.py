"""``--image-dir s3://bucket/prefix``: the pictures below a prefix."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from multimodal_search.errors import DataError, ProjectError
from multimodal_search.sources.inputs.names import Others, is_hidden, is_image
from multimodal_search.storage import S3Address, ensure_bucket, list_objects, parse_s3
from multimodal_search.types import Failure, Input, Modality

_log = logging.getLogger(__name__)
_COUNT_SECONDS = 2.0  # worth waiting: some ten thousand objects, and the progress bar knows its end


class PrefixInputs:
    """Listed a page at a time, each time anew; work begins with the first page, while another thread counts.

    Args:
        url: ``s3://bucket/prefix``; the prefix is taken for a folder.

    Raises:
        DataError: the bucket is missing, credentials are absent or refused, S3 cannot be reached, or there is
            no picture.
    """

    kind = "prefix"
    modality = Modality.IMAGE

    def __init__(self, url: str) -> None:
        bucket, prefix = parse_s3(url)
        self.root = f"s3://{bucket}/{prefix}".rstrip("/")
        self.failures: list[Failure] = []
        self.count: int | None = None  # until all is listed once
        self._address = S3Address(bucket, f"{prefix}/" if prefix else "")
        ensure_bucket(url, kind=DataError)
        next(iter(self))
        counting = threading.Thread(target=self._count, daemon=True)
        counting.start()
        counting.join(_COUNT_SECONDS)

    def __iter__(self) -> Iterator[Input]:
        """In S3's order: by the UTF-8 bytes of the keys.

        Raises:
            DataError: S3 cannot be reached or refuses; or there is no picture.
        """
        count, others = 0, Others()
        for one in list_objects(self._address):
            path = one.key.removeprefix(self._address.key)
            if any(map(is_hidden, path.split("/"))):
                continue
            if is_image(path):
                count += 1
                yield Input(path, one.content_key, f"s3://{self._address.bucket}/{one.key}")
            elif not path.endswith("/"):  # a console's folders
                others.add(path.rpartition("/")[2])
        if not count:
            raise DataError(
                f"No pictures below this prefix; found: {others if others.total else 'nothing'}.",
                where=self.root,
                remedy="name the prefix that holds the pictures (.jpg, .png, .webp, ...)",
            )
        if others.total and self.count is None:
            _log.info("%s left out: they are no pictures", others)
        self.count = count

    def _count(self) -> None:
        with contextlib.suppress(ProjectError):  # who iterates is told
            for _ in self:
                pass
