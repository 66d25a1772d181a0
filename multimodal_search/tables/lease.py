"""One writer a table, under an ``s3://`` prefix: an object that its holder renews.

Leases are numbered. Taking one over means creating the next number, which S3 gives to one of several askers;
a holder that finds a higher number than its own has lost.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import Any

from multimodal_search.errors import DataError, OutputError, ProjectError
from multimodal_search.storage.store import Store

_log = logging.getLogger(__name__)

EXPIRY_SECONDS = 120.0
_PREFIX = "lease-"


class Lease:
    """The right to write under a prefix.

    Args:
        expiry_seconds: a lease that is not renewed for this long is a dead run's.
    """

    def __init__(self, store: Store, expiry_seconds: float | None = None) -> None:
        self._store = store
        self._expiry_seconds = EXPIRY_SECONDS if expiry_seconds is None else expiry_seconds
        self._renew_seconds = self._expiry_seconds / 6
        self._number = 0
        self._nonce = secrets.token_hex(8)
        self._lost: OutputError | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._renewing = threading.Lock()

    def acquire(self) -> None:
        """Take the lease, over from a dead run if need be.

        Raises:
            OutputError: another live run holds it, or the store cannot be written.
        """
        held = self._numbers()
        highest = held[-1] if held else 0
        if highest:
            self._refuse_unless_dead(highest)
        self._number = highest + 1
        if not self._store.create(self._name(self._number), self._content()):
            raise self._refused(self._read(self._number))
        for number in held:
            self._store.remove(self._name(number))
        self.check()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Renew it now.

        Raises:
            OutputError: another run took it over.
            DataError: the store cannot be reached.
        """
        with self._renewing:
            if self._lost is None and self._number:
                self._renew()
        self.refuse_if_lost()

    def refuse_if_lost(self) -> None:
        """Raise OutputError where a renewal found that another run took the lease over."""
        if self._lost is not None:
            raise self._lost

    def release(self) -> None:
        """Let others write."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10.0)  # longer only where S3 is away
        with contextlib.suppress(ProjectError):  # it expires by itself
            if self._lost is None and self._number and self._is_ours(self._read(self._number)):
                self._store.remove(self._name(self._number))
        self._number = 0

    def _keep(self) -> None:
        while not self._stop.wait(self._renew_seconds):
            try:
                self.check()
            except ProjectError as error:
                if self._lost is not None:
                    return
                # an outage: nobody can take it over meanwhile, or it is found out after
                _log.warning("the lease of %s could not be renewed: %s", self._store.url, error.what)

    def _renew(self) -> None:
        there = self._numbers()
        record = self._read(self._number)
        if (there and there[-1] > self._number) or (record is not None and not self._is_ours(record)):
            by = self._read(there[-1]) if there else record
            self._lost = OutputError(
                f"Another run took this output over ({_holder(by)}): the lease was not renewed in time.",
                where=self._store.url,
                remedy="let that run end; what this one wrote is used by the next run",
            )
            if record is not None and self._is_ours(record):
                self._store.remove(self._name(self._number))
            return
        self._store.write(self._name(self._number), self._content())

    def _refuse_unless_dead(self, number: int) -> None:
        record = self._read(number)
        if record is None:  # released this moment
            return
        if _died_here(record):
            _log.warning("%s: a dead run (%s) held the lease; taken over", self._store.url, _holder(record))
            return
        if time.time() - record.get("renewed_unix_seconds", 0.0) < self._expiry_seconds:
            raise self._refused(record)
        # clocks of two machines may differ: a lease that is renewed while we look is alive
        _log.warning("%s: %s does not renew its lease; looking once more", self._store.url, _holder(record))
        time.sleep(1.5 * self._renew_seconds)
        if self._read(number) != record:
            raise self._refused(record)
        _log.warning("%s: taken over from a run that died (%s)", self._store.url, _holder(record))

    def _refused(self, record: dict[str, Any] | None) -> OutputError:
        return OutputError(
            f"Another run writes to this feature table ({_holder(record)}).",
            where=self._store.url,
            remedy="wait for it to end, or stop it; that of a run that died on another machine is free "
            f"{self._expiry_seconds:.0f} seconds after its last renewal",
        )

    def _numbers(self) -> list[int]:
        names = (name.removeprefix(_PREFIX).removesuffix(".json") for name in self._store.names(_PREFIX))
        return sorted(int(name) for name in names if name.isdecimal())

    def _read(self, number: int) -> dict[str, Any] | None:
        try:
            record = json.loads(self._store.read(self._name(number)))
        except FileNotFoundError:
            return None
        except DataError:
            raise
        except ValueError:
            return {}
        return record if isinstance(record, dict) else {}

    def _is_ours(self, record: dict[str, Any] | None) -> bool:
        return record is not None and record.get("nonce") == self._nonce

    def _name(self, number: int) -> str:
        return f"{_PREFIX}{number:06d}.json"

    def _content(self) -> bytes:
        record = {
            "process": os.getpid(),
            "host": socket.gethostname(),
            "processes_of": _process_space(),
            "nonce": self._nonce,
            "renewed_unix_seconds": time.time(),
        }
        return (json.dumps(record) + "\n").encode()


def _holder(record: dict[str, Any] | None) -> str:
    if not record:
        return "unknown process"
    return f"process {record.get('process')} on {record.get('host')}"


def _process_space() -> str | None:
    """Where a process number means the same: this boot of this machine, and this container of it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _died_here(record: dict[str, Any]) -> bool:
    if record.get("processes_of") is None or record["processes_of"] != _process_space():
        return False
    try:
        os.kill(int(record["process"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, KeyError, TypeError, ValueError):
        return False
    return False
