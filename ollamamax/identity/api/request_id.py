"""Middleware: every answer carries `X-Request-Id`, and every log line written meanwhile too."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from ollamamax import logs
from ollamamax.kernel import ids

HEADER = "X-Request-Id"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def id_of(request: Any) -> str:
    """The id of a Django or DRF request; empty where the middleware did not run."""
    found: str = getattr(request, "omx_request_id", "")
    return found


def _choose(request: HttpRequest) -> str:
    """The caller's id where it is one, so that a proxy's log and ours agree; else a new one."""
    told = request.headers.get(HEADER, "")
    chosen = told if _ACCEPTED.fullmatch(told) else ids.new_id()
    request.omx_request_id = chosen  # type: ignore[attr-defined]
    return chosen


@sync_and_async_middleware
def request_id(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    if iscoroutinefunction(get_response):
        following: Callable[[HttpRequest], Awaitable[HttpResponseBase]] = get_response

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            chosen = _choose(request)
            with logs.about(chosen):
                response = await following(request)
            response[HEADER] = chosen
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        chosen = _choose(request)
        with logs.about(chosen):
            response: HttpResponseBase = get_response(request)
        response[HEADER] = chosen
        return response

    return synchronous
