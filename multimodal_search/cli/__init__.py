"""``multimodal-search COMMAND``: one file a command; each parses flags into settings and makes one call."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence

from multimodal_search.errors import OutputError, ProjectError, SettingsError, nearest

COMMANDS = {
    "extract": "nuScenes or MCAP recordings in; scenes, pictures and signals out, ready to train on",
    "train": "driving data in, a trained and measured search bundle out",
    "embed": "images or texts in, features out: folders, path lists, S3; resumes, loses nothing",
    "evaluate": "measure a bundle on scenes it has not seen",
    "index": "nearest vectors: an index chosen, tuned and measured; append, delete, copy; other engines",
    "search": "find moments by words, a picture or a signal",
    "scenario": "a query that thumbs up and down correct: saved by name in a bundle, asked again",
    "search-all": "the nearest neighbours of every row: a CSV a row, and one Parquet",
    "duplicates": "near-duplicates by embedding and picture hash: groups, what to keep, leaks between splits",
    "map": "vectors as points in the plane: UMAP, a picture, a page, a file for embedding-atlas",
    "cluster": "groups of alike vectors by HDBSCAN or k-means, named from their texts",
    "cluster-sweep": "a grid of settings of clustering, in parallel; resumes; the best as a configuration",
    "render": "meshes and point clouds in, pictures from all sides out; resumes, loses nothing",
    "pool": "the vectors of a specimen's views become one: .npy, ids and Parquet",
    "specimens": "meshes in, a page of look-alikes, clusters and a map out: the whole chain",
    "serve": "the search page and its API over a bundle",
    "sample": "write the procedural sample world: extracted, nuscenes or pairs",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0 done, 2 a mistake the message explains, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Before torch is imported: threads that spin while they wait make a busy machine several times slower
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Line by line even into a pipe or a job's log, and never dying of a terminal's narrow encoding
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True, errors="replace")
    try:
        return _dispatch(arguments)
    except ProjectError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        way_on = str(interrupt) or "what was finished is kept; the same command run again goes on from there"
        print(f"\ninterrupted: {way_on}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader (head, less) went away: not a failure of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        told = OutputError(
            f"Writing failed: {error.strerror}.",
            where=error.filename,
            remedy="free space or choose another folder",
        )
        print(f"error: {told}", file=sys.stderr)
        return 2


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if arguments[0] == "--version":
        from multimodal_search import __version__

        print(__version__)
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        raise SettingsError(f"Unknown command {name!r}.", remedy=nearest(name, list(COMMANDS)))
    command = importlib.import_module(f"multimodal_search.cli.{name.replace('-', '_')}")
    try:
        return int(command.main(arguments[1:]) or 0)
    except SystemExit as done:  # argparse, after --help
        return int(done.code or 0)


def _overview() -> str:
    lines = [f"  {name:<10} {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: multimodal-search COMMAND [flags]",
            "",
            "Find driving moments by words, by pictures and by vehicle signals.",
            "",
            *lines,
            "",
            "multimodal-search COMMAND --help lists a command's flags; --version prints the version.",
        ]
    )
