"""The command: a bundle is opened, and the server runs until it is told to stop."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

import torch
import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from multimodal_search.errors import ProjectError, SettingsError
from multimodal_search.projectors.bundle import read_bundle_info
from multimodal_search.serving.app import build
from multimodal_search.serving.measuring import SHARED
from multimodal_search.serving.security import is_loopback
from multimodal_search.settings.serving import ServeSettings
from multimodal_search.storage import S3Options, configure_s3

TOKEN = "MULTIMODAL_SEARCH_TOKEN"
_SETTINGS, _UPLOADS = "MULTIMODAL_SEARCH_SERVE", "MULTIMODAL_SEARCH_UPLOADS"
_LEAST_TOKEN = 16
_KEEP_ALIVE_SECONDS = 30
_GRACE_SECONDS = 10
_START_SECONDS = 120


def serve(settings: ServeSettings) -> int:
    """Serve until interrupted.

    Raises:
        SettingsError: an address beyond this machine without a token; a port that is taken.
        BundleError, EncoderError: the bundle cannot be used.
    """
    settings = with_token(settings)
    configure_s3(S3Options(**settings.s3_options()))
    read_bundle_info(Path(settings.bundle))
    with (
        _listening(settings) as listening,
        tempfile.TemporaryDirectory(prefix="multimodal-search-") as shared,
    ):
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"http://{host}:{listening.getsockname()[1]}"
        uploads = Path(shared) / "uploads"
        uploads.mkdir()
        if settings.workers > 1:
            print(f"The search page is at {address}  (Ctrl-C ends it)", flush=True)
            return _several(settings, Path(shared), listening)
        app, _ = build(settings, uploads)
        print(f"The search page is at {address}  (Ctrl-C ends it)", flush=True)
        # uvicorn ends its work and then hands the signal on; what is temporary is still to be removed
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(_config(settings, app)).run(sockets=[listening])
    return 0


def with_token(settings: ServeSettings) -> ServeSettings:
    """The settings with the environment's token, if there is one; an address that is open to others needs it.

    Raises:
        SettingsError: it has none, or a short one.
    """
    token = settings.token or os.environ.get(TOKEN) or None
    if token is not None and len(token) < _LEAST_TOKEN:
        raise SettingsError(
            f"The token has {len(token)} characters.",
            where=TOKEN,
            remedy=f"at least {_LEAST_TOKEN}, for example from: openssl rand -hex 24",
        )
    if token is None and not is_loopback(settings.host):
        raise SettingsError(
            f"--host {settings.host} lets other machines ask, and there is no token.",
            remedy=f"set {TOKEN} (or --token) to at least {_LEAST_TOKEN} characters, or leave --host out",
        )
    return settings.model_copy(update={"token": token})


def worker() -> ASGIApp:
    """The application of one process of several; its settings come from the one that started it."""
    settings = ServeSettings.model_validate(json.loads(os.environ[_SETTINGS]))
    settings = settings.model_copy(update={"token": os.environ.get(TOKEN) or None})
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    configure_s3(S3Options(**settings.s3_options()))
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // settings.workers))
    try:
        return build(settings, Path(os.environ[_UPLOADS]))[0]
    except ProjectError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(STARTUP_FAILURE)  # else it would be started again and again


def _several(settings: ServeSettings, shared: Path, listening: socket.socket) -> int:
    metrics = shared / "metrics"
    metrics.mkdir()
    # the token apart: settings may be shown, an environment is seen by nobody else
    os.environ[_SETTINGS] = settings.model_copy(update={"token": None}).model_dump_json()
    os.environ[_UPLOADS] = str(shared / "uploads")
    os.environ[SHARED] = str(metrics)
    if settings.token is not None:
        os.environ[TOKEN] = settings.token
    config = _config(settings, "multimodal_search.serving.server:worker")
    config.factory = True
    config.workers = settings.workers
    config.timeout_worker_healthcheck = _START_SECONDS
    processes = Multiprocess(config, sockets=[listening])
    processes.run()
    return 2 if any(one.exitcode == STARTUP_FAILURE for one in processes.processes) else 0


def _config(settings: ServeSettings, app: ASGIApp | str) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning" if settings.log_level == "info" else settings.log_level,
        access_log=settings.log_level == "debug",
        server_header=False,
        proxy_headers=False,  # else a client could choose the address that it is counted by
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        lifespan="on",
        ws="none",
    )


def _listening(settings: ServeSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((settings.host.strip("[]"), settings.port))
        opened.listen(2048)
    except OSError as error:
        opened.close()
        raise SettingsError(
            f"Nothing can listen on {settings.host}, port {settings.port}: {error.strerror or error}.",
            remedy="choose another --port (0 takes a free one), or another --host",
        ) from error
    return opened
