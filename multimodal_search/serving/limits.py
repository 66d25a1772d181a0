"""How much, how often and how many at once; more is answered, quickly, with a refusal."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from multimodal_search.serving.measuring import Metrics
from multimodal_search.serving.problems import answer

BODY_SECONDS = 60.0
_MOST_CLIENTS = 10_000
_OVERHEAD_BYTES = 1 << 20  # of a multipart body around its file
_FREE = {"/healthz"}


class Rate:
    """A bucket of tokens for each address: filled steadily, emptied by requests.

    Args:
        per_second: requests in the mean.
        burst: requests at once, after a pause.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clients: dict[str, tuple[float, float]] = {}

    def wait_seconds(self, client: str) -> float:
        """0 where a request may pass; else how long it would have to wait."""
        now = time.monotonic()
        left, at = self._clients.get(client, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_second)
        if client not in self._clients and len(self._clients) >= _MOST_CLIENTS:
            self._forget(now)
        if left < 1:
            self._clients[client] = (left, now)
            return (1 - left) / self._per_second
        self._clients[client] = (left - 1, now)
        return 0.0

    def _forget(self, now: float) -> None:
        """Whoever has a full bucket by now is as good as new; then whoever asked longest ago."""
        full = self._burst / self._per_second
        kept = sorted(
            (one for one in self._clients.items() if now - one[1][1] < full), key=lambda one: one[1][1]
        )
        self._clients = dict(kept[-_MOST_CLIENTS // 2 :])


class Limits:
    """Rate, number at once, size and time of a body; and the times for ``/metrics``.

    Args:
        max_body_bytes: of a request.
        concurrency: requests at work.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, rate: Rate, concurrency: int, max_upload_bytes: int
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._rate = rate
        self._concurrency = concurrency
        self._max_body_bytes = max_upload_bytes + _OVERHEAD_BYTES
        self._working = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        refusal = self._refusal(scope)
        self._working += 1
        self._metrics.working(1)
        try:
            if refusal is not None:
                await refusal(scope, receive, seen)
            else:
                await self._app(scope, _Body(receive, self._max_body_bytes).receive, seen)
        finally:
            self._working -= 1
            self._metrics.working(-1)
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.request(method, route, status, time.perf_counter() - started)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        if scope["path"] in _FREE:
            return None
        wait = self._rate.wait_seconds(_client(scope))
        if wait:
            return answer(429, "Too many requests.", "ask more slowly", {"Retry-After": str(int(wait) + 1)})
        if self._working >= self._concurrency:
            return answer(429, "Too many requests at once.", "ask again in a moment", {"Retry-After": "1"})
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or int(length) > self._max_body_bytes:
            return _too_large(self._max_body_bytes)
        return None


_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class _Body:
    """A request's body, as far as it is small and quick enough."""

    def __init__(self, receive: Receive, most_bytes: int) -> None:
        self._receive = receive
        self._most_bytes = most_bytes
        self._bytes = 0
        self._whole = False
        self._ends = time.monotonic() + BODY_SECONDS

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._ends - time.monotonic()))
        except TimeoutError:
            raise HTTPException(408, "The request came too slowly.") from None
        self._bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._bytes > self._most_bytes:
            raise HTTPException(413, "The request is too large.")
        return message


def _too_large(most_bytes: int) -> ASGIApp:
    return answer(413, "The request is too large.", f"at most {most_bytes / 1e6:.0f} MB")


def _client(scope: Scope) -> str:
    """The address; of IPv6 the network, of which one client has all."""
    address = str((scope.get("client") or ("unknown", 0))[0])
    return ":".join(address.split(":")[:4]) if address.count(":") > 3 else address
