"""A connection to Ray: to the cluster that is named, or to our own that only this machine can reach."""

from __future__ import annotations

import importlib
import logging
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from multimodal_search.errors import ProjectError, SettingsError, require

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_STARTS = 3  # a busy machine takes longer than the 30 s after which Ray gives up
_OBJECT_STORE_BYTES = 100 * 2**20  # Ray takes a third of the memory otherwise; what we send fits in messages
_CONNECT_SECONDS = 10.0


@contextmanager
def connected(address: str | None, *, cpus: int) -> Iterator[Any]:
    """The module ``ray``, connected; what was started here is shut down on leaving.

    Args:
        address: ``auto``, ``host:port`` or ``ray://host:port``; None starts Ray here.
        cpus: that a Ray started here offers.

    Raises:
        MissingDependencyError: Ray is not installed.
        SettingsError: nothing answers at the address, or Ray cannot be started.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # it sends nothing anywhere
    ray = require("ray", extra="ray")
    if ray.is_initialized():  # by the program that uses us, which also shuts it down
        yield ray
        return
    if address is None:
        with _only_this_machine():
            _start(ray, cpus)
            try:
                yield ray
            finally:
                ray.shutdown()
        return
    _check_reachable(address)
    try:
        ray.init(address=address, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises all kinds
        raise SettingsError(
            f"There is no way into the Ray cluster: {type(error).__name__}: {error}",
            where=f"--ray-address {address}",
            remedy="'ray status' on the cluster shows whether it is up; outside of it, use ray://host:10001 "
            "(pip install 'ray[client]'); Python and Ray must have the same versions everywhere",
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _start(ray: Any, cpus: int) -> None:
    for attempt in range(1, _STARTS + 1):
        try:
            ray.init(
                address="local",  # never a cluster that RAY_ADDRESS or a file names
                num_cpus=cpus,
                object_store_memory=_OBJECT_STORE_BYTES,
                include_dashboard=False,
                dashboard_host=LOOPBACK,
                _node_ip_address=LOOPBACK,
                logging_level=logging.ERROR,
            )
            break
        except Exception as error:  # Ray raises bare Exceptions here
            ray.shutdown()
            if attempt == _STARTS:
                raise SettingsError(
                    f"Ray cannot be started on this machine: {type(error).__name__}: {error}",
                    remedy="--engine processes does the same on one machine; Ray's logs are in /tmp/ray",
                ) from error
            logger.warning("Ray did not start (%s); trying again", error)
    addresses = {node["NodeManagerAddress"] for node in ray.nodes()}
    if addresses != {LOOPBACK}:
        ray.shutdown()
        raise ProjectError(
            f"Ray listens on {', '.join(sorted(addresses))}, where others can reach it.",
            remedy="use another version of Ray, or --engine processes",
        )


def _check_reachable(address: str) -> None:
    """Ray itself ends the process, after minutes, where nothing answers.

    Raises:
        SettingsError: nothing does, or the address cannot be one.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise SettingsError(
            f"--ray-address {address!r} is none.", remedy="auto, host:6379 or ray://host:10001"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise SettingsError(
            f"Nothing answers at the address of the Ray cluster: {error}",
            where=f"--ray-address {address}",
            remedy="start it there ('ray start --head'), or name another one",
        ) from error


@contextmanager
def _only_this_machine() -> Iterator[None]:
    """What a Ray of our own is started with.

    Ray replaces 127.0.0.1 by the outer address unless its switch for systems without clusters is off, which
    it reads when it is imported. The token keeps out other users of this machine; without one in the
    environment Ray leaves one in the home folder. It stays: Ray keeps the first one for the process' life.
    """
    constants: Any = importlib.import_module("ray._private.ray_constants")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    clusters = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = False
    os.environ[constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = clusters
        del os.environ[constants.ENABLE_RAY_CLUSTERS_ENV_VAR]
