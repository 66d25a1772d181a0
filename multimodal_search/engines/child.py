"""What a worker process runs. Orders come on its standard input, messages leave on its standard output."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import threading
from typing import IO, NoReturn

from multimodal_search.engines.base import Place
from multimodal_search.engines.frames import read_frame, write_frame
from multimodal_search.engines.host import Host, Order

PREAMBLE = b"\x00multimodal-search worker\x00"
"""Comes before the first message; whatever was printed before it is no message."""

_PR_SET_PDEATHSIG = 1


def main(place: Place, log_level: int) -> NoReturn:
    """Serve the coordinator until it says stop, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator decides what Ctrl-C means
    _die_with_parent()
    orders, messages = _take_pipes()
    faulthandler.enable()
    lock = threading.Lock()

    def send(message: bytes) -> None:
        with lock:
            write_frame(messages, message)

    host = Host(send)
    host.forward_logs(log_level)
    setup = read_frame(orders)
    if setup is None:
        os._exit(1)
    threading.Thread(target=_listen, args=(orders, host), name="orders", daemon=True).start()
    host.work(setup, place)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # everything is closed; some libraries crash or hang while the interpreter ends


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Standard input and output for ourselves; what libraries print goes where errors go."""
    orders = os.fdopen(os.dup(0), "rb")
    messages = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    messages.write(PREAMBLE)
    messages.flush()
    return orders, messages


def _listen(orders: IO[bytes], host: Host) -> None:
    """Pass orders on; when the coordinator is gone, so is this process, whatever it is doing."""
    while (frame := read_frame(orders)) is not None:
        host.order(Order(frame[:1].decode()), frame[1:])
    os._exit(1)


def _die_with_parent() -> None:
    """Linux: killed with the thread that started this process, also where no thread of ours can run."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
