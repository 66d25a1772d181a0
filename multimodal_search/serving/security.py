"""Who may ask, from where, and what a browser may do with the answers."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from multimodal_search.serving.problems import answer

COOKIE = "multimodal_search"
COOKIE_SECONDS = 30 * 86_400
_SAFE = {"GET", "HEAD", "OPTIONS"}
_PUBLIC = {"/", "/healthz", "/login"}  # the form that asks for the token, and what it is made of
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
        "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Keeper:
    """Compares tokens, in constant time; without a token everybody is let in.

    Args:
        token: what a client must show.
    """

    def __init__(self, token: str | None) -> None:
        self._token = None if token is None else token.encode()

    @property
    def locked(self) -> bool:
        """Whether a token is needed."""
        return self._token is not None

    @property
    def cookie(self) -> str:
        """What the page's cookie holds: not the token itself."""
        return hmac.new(self._token or b"", b"multimodal-search page", hashlib.sha256).hexdigest()

    def knows(self, token: str) -> bool:
        """Whether this is the token."""
        return self._token is not None and _equal(token.encode("utf-8", "replace"), self._token)

    def lets_in(self, headers: Headers) -> bool:
        """Whether a request shows the token, or the cookie of somebody who did."""
        if self._token is None:
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.knows(given.strip()):
            return True
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        return COOKIE in cookies and _equal(cookies[COOKIE].value.encode(), self.cookie.encode())


def _equal(given: bytes, known: bytes) -> bool:
    # of equal length: the time tells nothing of the token's own
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(known).digest())


class Guard:
    """Lets requests in, and puts security headers on every answer.

    Without a token only this machine's own names are answered, so that a foreign page cannot reach the server
    by a name of its own (DNS rebinding); and pages of other origins may change nothing.

    Args:
        host: that the server listens on.
        origins: other origins whose pages may ask.
    """

    def __init__(self, app: ASGIApp, keeper: Keeper, host: str, origins: Sequence[str]) -> None:
        self._app = app
        self._keeper = keeper
        self._hosts = {"localhost", "127.0.0.1", "::1", host.strip("[]").lower()}
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, with_headers)
        else:
            await self._app(scope, receive, with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        host = headers.get("host", "")
        if not self._keeper.locked and _name_of(host) not in self._hosts:
            return answer(403, "This server is not called that.", "ask for it by localhost or 127.0.0.1")
        origin = headers.get("origin")
        if scope["method"] not in _SAFE and origin is not None and not self._own(origin, host):
            return answer(403, "A page of another origin may not ask this.", "name it with --cors-origin")
        path = scope["path"]
        if path in _PUBLIC or path.startswith("/page/") or self._keeper.lets_in(headers):
            return None
        return answer(
            401,
            "A token is needed.",
            "send it as 'Authorization: Bearer ...'",
            {"WWW-Authenticate": "Bearer"},
        )

    def _own(self, origin: str, host: str) -> bool:
        return origin in self._origins or urlsplit(origin).netloc.lower() == host.lower()


def _name_of(host: str) -> str:
    """Without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
