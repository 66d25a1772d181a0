"""Weights from the Hugging Face hub: found in the cache, fetched, or refused quickly with the ways out."""

from __future__ import annotations

import logging
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from multimodal_search.errors import EncoderError
from multimodal_search.types import Modality

_PROBE_SECONDS = 5.0
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_ASK_AGAIN_SECONDS = 60.0
_asked: dict[str, tuple[float, bool]] = {}  # endpoint -> when, and whether it answered
_lock = Lock()


@contextmanager
def hub_access(*, local: bool = False) -> Iterator[None]:
    """Inside, hub libraries use the cache alone where the hub cannot be reached, without long retries.

    ``HF_HUB_OFFLINE`` and ``TRANSFORMERS_OFFLINE`` stay in force; ``HF_ENDPOINT`` and proxies are honoured.
    What the libraries say through the root logger is kept from configuring it.

    Args:
        local: everything is in a folder here, so the hub is not even asked whether it is there.
    """
    from huggingface_hub import constants

    root = logging.getLogger()
    silent = logging.NullHandler()  # logging.warning() of a library installs a handler where there is none
    with _lock:
        before = constants.HF_HUB_OFFLINE
        constants.HF_HUB_OFFLINE = before or local or not _answers(constants.ENDPOINT)
        root.addHandler(silent)
        try:
            yield
        finally:
            constants.HF_HUB_OFFLINE = before
            root.removeHandler(silent)


def unreachable(name: str, weights: str, modality: Modality, cause: Exception) -> EncoderError:
    """The error of files that are neither in the cache nor to be had, with the ways out."""
    from huggingface_hub import constants

    set_offline = [
        name for name in _OFFLINE if os.environ.get(name, "").upper() in ("1", "TRUE", "YES", "ON")
    ]
    why = f"{set_offline[0]} is set" if set_offline else f"{constants.ENDPOINT} does not give them"
    flag = "text" if modality is Modality.TEXT else "image"
    cause_line = (str(cause).strip() or type(cause).__name__).splitlines()[0].split(". ")[0]
    return EncoderError(
        f"The files of {name} ({weights}) are not in the cache, and {why}: {cause_line}",
        where=f"cache {constants.HF_HUB_CACHE}",
        remedy=(
            "one of: (1) run once with a network, or copy another machine's cache to that folder or to the "
            "one that HF_HUB_CACHE names; "
            f"(2) give a local file or folder: --{flag}-weights PATH; "
            "(3) name a mirror: HF_ENDPOINT=https://...; "
            "(4) take the small encoders that ship with the package and know the sample world only: "
            "--image-encoder sample/vit --text-encoder sample/text"
        ),
    )


def _answers(endpoint: str) -> bool:
    """Whether somebody is there; asked at most once a minute, as a silent network costs seconds each time."""
    known = _asked.get(endpoint)
    if known is None or time.monotonic() - known[0] > _ASK_AGAIN_SECONDS:
        known = (time.monotonic(), _reachable(endpoint))
        _asked[endpoint] = known
    return known[1]


def _reachable(endpoint: str) -> bool:
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        with urllib.request.urlopen(request, timeout=_PROBE_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True  # an answer, whatever it says
    except urllib.error.URLError as error:
        # a private certificate: the hub's own client may have been told about it
        return isinstance(error.reason, ssl.SSLError)
    except (OSError, ValueError):
        return False
