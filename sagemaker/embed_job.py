"""What a bulk embedding job starts: this instance's share of the path list, into its own place."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from multimodal_search.cli import main
from multimodal_search.cli.launcher import leaving_the_reason
from multimodal_search.errors import DataError


def arguments(argv: list[str], environment: Mapping[str, str]) -> list[str]:
    """The flags of ``embed`` on this instance: ``--out`` gets ``part-0001-of-0004``, the list its lines.

    Raises:
        DataError: the channel holds no list, or fewer lines than there are instances.
    """
    hosts = sorted(json.loads(environment.get("SM_HOSTS", '["algo-1"]')), key=_number)
    rank = hosts.index(environment.get("SM_CURRENT_HOST", hosts[0]))
    flags = list(argv)
    if len(hosts) > 1:
        place = flags.index("--out") + 1
        flags[place] = f"{flags[place].rstrip('/')}/part-{rank:04d}-of-{len(hosts):04d}"
        flags += ["--process-index", str(rank)]
    folder = environment.get("SM_CHANNEL_PATHS")
    if folder is None:
        return flags
    lists = [one for one in Path(folder).rglob("*") if one.is_file()]
    if len(lists) != 1:
        raise DataError(f"The channel 'paths' holds {len(lists)} files, not one list.", where=folder)
    start, end = share(count_lines(lists[0]), rank, len(hosts))
    if start == end:
        raise DataError(
            "The list has fewer lines than there are instances.",
            where=lists[0],
            remedy="take fewer instances",
        )
    return [*flags, "--path-file", str(lists[0]), "--start-line", str(start), "--end-line", str(end)]


def share(lines: int, rank: int, count: int) -> tuple[int, int]:
    """First line and the one after the last; shares follow each other and differ by one line at most."""
    return lines * rank // count, lines * (rank + 1) // count


def count_lines(file: Path) -> int:
    """Lines of a file, the last one with or without its end."""
    lines, last = 0, b"\n"
    with file.open("rb") as content:
        while block := content.read(1 << 24):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")


def _number(host: str) -> int:
    return int(host.rpartition("-")[2])


if __name__ == "__main__":
    with leaving_the_reason():
        flags = arguments(sys.argv[1:], os.environ)
    sys.exit(main(["embed", *flags]))
