"""What is wrong, told to a client: without a path, without a stack."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from multimodal_search.errors import (
    BundleError,
    DataError,
    EncoderError,
    OutputError,
    ProjectError,
    SettingsError,
)
from multimodal_search.serving.answers import Problem

_log = logging.getLogger(__name__)
_PATH = re.compile(r"(?:s3:/|(?<![\w.:/~-]))~?(?:/[^\s/'\"`,;:()\[\]{}]+){2,}/?|[A-Za-z]:\\[^\s'\"]+")
_LONGEST = 500

_MEANING = {
    304: "it is as the client knows it",
    400: "the request cannot be read",
    401: "a token is needed",
    403: "another page may not ask this",
    404: "there is no such thing",
    408: "the request came too slowly",
    413: "the request is too large",
    415: "another content type",
    422: "the request means nothing here",
    429: "too many requests",
    503: "this cannot be done at present",
}


class Refused(Exception):  # noqa: N818  it is an answer to a client
    """A request that is answered with a status and a reason.

    Args:
        status: of HTTP.
        what: the reason.
        remedy: what to do.
    """

    def __init__(self, status: int, what: str, remedy: str | None = None) -> None:
        self.status = status
        self.what = what
        self.remedy = remedy
        super().__init__(what)


Responses = dict[int | str, dict[str, Any]]


def documented(*statuses: int) -> Responses:
    """For ``responses=``: these, and what any request may be answered with."""
    return {
        status: {"description": _MEANING[status], **({} if status == 304 else {"model": Problem})}
        for status in sorted({400, 401, 403, 429, *statuses})
    }


def answer(
    status: int, what: str, remedy: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    """The error as JSON."""
    return JSONResponse(
        {"error": without_paths(what), "remedy": remedy and without_paths(remedy)}, status, headers
    )


def without_paths(text: str) -> str:
    """The text, short, and with every path in it made unreadable."""
    plain = text.encode("utf-8", "replace").decode()
    return _PATH.sub("…", plain)[:_LONGEST]


def install(app: FastAPI) -> None:
    """Every error of the application becomes an answer."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(ProjectError, _project_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return answer(error.status, error.what, error.remedy)


def _project_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProjectError)
    if isinstance(error, DataError | SettingsError):
        return answer(422, error.what, error.remedy)
    _log.error("%s", error)
    if isinstance(error, OutputError):
        return answer(503, "It cannot be saved here.", "see the server's log: disk space, permissions")
    if isinstance(error, BundleError | EncoderError):
        return answer(503, "The bundle cannot answer this at present.", "see the server's log")
    return answer(503, "Something that this needs is not installed on the server.", "see the server's log")


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError | ValidationError)
    return answer(422, told(error.errors()), "see /docs for what can be asked")


def told(errors: Sequence[Any]) -> str:
    """The first few mistakes in one line: where, and what."""
    lines = []
    for one in errors[:3]:
        where = ".".join(
            str(step) for step in one["loc"] if step not in ("body", "query", "path", "function-after")
        )
        lines.append(f"{where}: {one['msg']}" if where else str(one["msg"]))
    return "; ".join(lines)


def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return answer(error.status_code, str(error.detail), headers=dict(error.headers or {}))


def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.scope.get("route", ""), exc_info=error)
    return answer(500, "Something went wrong on the server.", "its log says what")
