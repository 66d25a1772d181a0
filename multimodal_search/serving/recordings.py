"""Links that open a moment where its recording is shown: Foxglove, Rerun."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit

from multimodal_search.search.hits import Hit

_FIELDS = ("mcap", "recording", "mcap_url", "recording_url", "mcap_path")
_FIRST_REAL_US = 10**14  # smaller times count from a recording's start


def links_of(hit: Hit) -> tuple[str, str] | None:
    """(Foxglove's, Rerun's) link at the moment's time; None where its metadata names no MCAP.

    The recording is named by an ``https://`` or ``http://`` address (each viewer fetches it), or by a file's
    name, which the desktop applications open.
    """
    for name in _FIELDS:
        value = hit.metadata.get(name)
        if isinstance(value, str) and value.lower().split("?")[0].endswith(".mcap"):
            return _foxglove(value, hit), _rerun(value)
    return None


def _foxglove(address: str, hit: Hit) -> str:
    query = {"ds": "remote-file", "ds.url": address}
    if hit.timestamp_us is not None and hit.timestamp_us >= _FIRST_REAL_US:
        at = datetime.fromtimestamp(hit.timestamp_us / 1e6, UTC)
        query["time"] = at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    where = "https://app.foxglove.dev/~/view" if _is_web(address) else "foxglove://open"
    return f"{where}?{urlencode(query, quote_via=quote)}"


def _rerun(address: str) -> str:
    if _is_web(address):
        return f"https://app.rerun.io/?{urlencode({'url': address}, quote_via=quote)}"
    return f"rerun://{quote(address)}"


def _is_web(address: str) -> bool:
    return urlsplit(address).scheme in ("http", "https")
