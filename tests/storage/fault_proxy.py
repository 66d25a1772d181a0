"""An HTTP proxy that counts requests and spoils some of them."""

from __future__ import annotations

import http.client
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

Choose = Callable[[str, str], str | None]


class FaultProxy:
    """Stands in front of a server: as a reverse proxy, and as a real one that any host's requests may use.

    Args:
        server: the URL of what answers in truth.

    Attributes:
        url: where clients send to.
        choose: method, path -> the fault to commit, or None; called for each request.
        requests: how many came, by method.
        hosts: how many came for which host, where this is used as a proxy.
        faults: how many were committed of each.
        signatures: the Authorization headers, in order.
        stall_seconds: of ``STALL`` and ``SLOW``.
    """

    ERROR, SLOW, DROP, CUT, STALL = "error 500", "slow answer", "dropped mid-body", "cut short", "stall"
    DENIED, EXPIRED = "AccessDenied", "ExpiredToken"  # S3's own codes

    def __init__(self, server: str) -> None:
        self.choose: Choose = lambda method, path: None
        self.requests: Counter[str] = Counter()
        self.hosts: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.signatures: list[str] = []
        self.stall_seconds = 0.3
        self._target = urlsplit(server)
        self._server: ThreadingHTTPServer | None = None
        self._open: set[socket.socket] = set()
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def some(self, faults: dict[str, float], seed: int = 0) -> None:
        """Commit faults at these rates; the same sequence each time."""
        dice, lock = random.Random(seed), threading.Lock()
        kinds, weights = [*faults, None], [*faults.values(), 1 - sum(faults.values())]

        def choose(method: str, path: str) -> str | None:
            with lock:
                return dice.choices(kinds, weights)[0]

        self.choose = choose

    def start(self) -> None:
        """Listen, on the former port if there was one."""
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Hang up on everybody, as a server that is restarted does."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def away(self, seconds: float) -> Iterator[None]:
        """Nobody listens for so long, from now on; the block runs meanwhile."""
        self.stop()
        back = threading.Timer(seconds, self.start)
        back.start()
        try:
            yield
        finally:
            back.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultProxy

    def setup(self) -> None:
        super().setup()
        self.proxy._open.add(self.connection)

    def finish(self) -> None:
        self.proxy._open.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with suppress(OSError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _pass_on(self) -> None:
        proxy = self.proxy
        address = urlsplit(self.path)
        path = self.path if not address.netloc else address._replace(scheme="", netloc="").geturl()
        if address.netloc:
            proxy.hosts[address.netloc] += 1
        proxy.requests[self.command] += 1
        proxy.signatures.append(self.headers.get("Authorization", ""))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = proxy.choose(self.command, path)
        if fault:
            proxy.faults[fault] += 1
        if fault == proxy.ERROR:
            self._answer(500, [], b"<Error><Code>InternalError</Code></Error>")
            return
        if fault in (proxy.DENIED, proxy.EXPIRED):
            status = 403 if fault == proxy.DENIED else 400
            self._answer(status, [], f"<Error><Code>{fault}</Code></Error>".encode())
            return
        status, headers, content = self._ask(path, body)
        if fault == proxy.SLOW:  # done, but told late: a request whose client has gone must not act later on
            time.sleep(proxy.stall_seconds)
        if fault == proxy.CUT:  # the header promises more than comes
            self.close_connection = True
            self._answer(status, headers, content[: len(content) // 2], promised=len(content))
        elif fault in (proxy.DROP, proxy.STALL):
            self.close_connection = True
            self._answer(status, headers, content[: len(content) // 2], promised=len(content))
            if fault == proxy.STALL:
                time.sleep(proxy.stall_seconds)
            else:  # a reset instead of an orderly end
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self.connection.close()
        else:
            self._answer(status, headers, content)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass_on  # noqa: N815

    def do_CONNECT(self) -> None:
        self.proxy.requests["CONNECT"] += 1
        self.send_error(502)

    def _ask(self, path: str, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        target = self.proxy._target
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        connection.request(self.command, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.getheaders(), content

    def _answer(
        self, status: int, headers: list[tuple[str, str]], content: bytes, promised: int | None = None
    ) -> None:
        self.send_response_only(status)
        said = None
        for name, value in headers:
            if name.lower() == "content-length":
                said = value
            elif name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        length = (
            said if self.command == "HEAD" and said else str(len(content) if promised is None else promised)
        )
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()
