"""A process that renders one specimen after another; a line of JSON comes in, a line goes out.

A file that crashes a library, or never ends, takes this process with it and nothing else.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from multimodal_search.errors import ProjectError, SkipInput


def main() -> None:
    """Serve until the input ends. The first line holds the settings."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator decides what Ctrl-C means
    orders, answers = _take_pipes()
    faulthandler.enable()
    waiting: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(orders, waiting), daemon=True).start()
    settings = json.loads(waiting.get())
    _limit_memory(float(settings["memory_gb"]))
    try:
        renderer, looks = _open(settings)
    except ProjectError as error:
        _say(answers, {"error": [error.what, error.where, error.remedy]})
        return
    _say(answers, {"hello": [renderer.name, renderer.version]})
    while True:
        task = json.loads(waiting.get())
        # also where a library holds Python's lock; the coordinator is a little more patient
        faulthandler.dump_traceback_later(float(settings["timeout_seconds"]) + 5.0, exit=True)
        _say(answers, _render(task, renderer, looks))
        faulthandler.cancel_dump_traceback_later()


def _open(settings: dict[str, Any]) -> Any:
    import numpy as np

    from multimodal_search.errors import require
    from multimodal_search.rendering.renderer import open_renderer
    from multimodal_search.rendering.shape import Shape
    from multimodal_search.rendering.shapes import ball
    from multimodal_search.rendering.views import Looks, draw_views

    require("trimesh", extra="render")
    looks = Looks(**{**settings["looks"], "elevations": tuple(settings["looks"]["elevations"])})
    renderer = open_renderer(settings["renderer"], looks.size, looks.background)
    # loops are compiled (or found compiled) before the first specimen's clock starts
    for shape in (ball(4, 6), Shape(ball(4, 6).vertices, np.zeros((0, 3), dtype=np.int32))):
        next(draw_views(shape, renderer, looks))
    return renderer, looks


def _render(task: dict[str, str], renderer: Any, looks: Any) -> dict[str, Any]:
    from multimodal_search.rendering.views import render_file

    began = time.perf_counter()
    try:
        notes = render_file(Path(task["file"]), Path(task["out"]), task["id"], renderer, looks)
    except SkipInput as skip:
        return {"skip": skip.reason, "again": skip.again}
    except MemoryError:
        return {"skip": "it needs more memory than --memory-gb allows", "again": True}
    except OSError as error:
        return {"failed": [error.errno, error.strerror, error.filename]}
    except Exception as error:
        return {"skip": f"{type(error).__name__}: {error}"[:300], "again": True}
    return {"notes": notes, "seconds": round(time.perf_counter() - began, 3)}


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Input and output for ourselves; what libraries print goes where errors go."""
    orders, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    return orders, answers


def _listen(orders: IO[bytes], waiting: SimpleQueue[bytes]) -> None:
    """Pass tasks on; when the coordinator is gone, so is this process, whatever it is doing."""
    for line in orders:
        waiting.put(line)
    os._exit(0)


def _say(answers: IO[bytes], message: dict[str, Any]) -> None:
    answers.write(json.dumps(message).encode() + b"\n")
    answers.flush()


def _limit_memory(memory_gb: float) -> None:
    """Linux counts what a process writes to; elsewhere only headers are checked against sizes."""
    if sys.platform != "linux":
        return
    import resource

    limit = int(memory_gb * 1e9)
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


if __name__ == "__main__":
    main()
