"""Every error of the management API as RFC 9457 problem details."""

from __future__ import annotations

import functools
import http
import math
from collections.abc import Mapping
from typing import Any

import redis
from django.apps import apps
from django.core.exceptions import PermissionDenied, SuspiciousOperation, ValidationError
from django.db import IntegrityError, OperationalError
from django.db.models import ProtectedError, UniqueConstraint
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from ollamamax.kernel import errors
from ollamamax.kernel.errors import OllamaMaxError

MEDIA_TYPE = "application/problem+json"
PREFIX = "/api/v1/"

_CODES = {
    400: "invalid_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    415: "unsupported_media_type",
    429: "overloaded",
}


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. ``None``, which makes it a 500, for what is our own fault."""
    if isinstance(error, exceptions.ValidationError):
        return _answer(400, "invalid_request", _sentence(error.detail), more={"fields": flat(error.detail)})
    if isinstance(error, exceptions.APIException):
        headers = {"WWW-Authenticate": "Bearer"} if error.status_code == 401 else {}
        return _answer(error.status_code, _CODES.get(error.status_code, "error"), str(error.detail), headers)
    known = _known(error)
    if known is None:
        return None
    headers = {}
    if known.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if known.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(known.retry_after))
    more = dict(known.fields)
    if isinstance(more.get("param"), str):
        more["fields"] = {more["param"]: [known.message]}
    return _answer(known.status, known.code, known.message, headers, more)


def flat(detail: Any, path: str = "") -> dict[str, list[str]]:
    """What is wrong, by the path of the field: ``limits.tokens_per_minute``, ``fallbacks.0.model``; ``""`` is the body as a whole."""
    if isinstance(detail, dict):
        found: dict[str, list[str]] = {}
        for name, inner in detail.items():
            inside = path if name == "non_field_errors" else f"{path}.{name}" if path else str(name)
            found |= flat(inner, inside)
        return found
    if isinstance(detail, list) and any(isinstance(each, dict | list) for each in detail):
        found = {}
        for index, inner in enumerate(detail):
            if inner:
                found |= flat(inner, f"{path}.{index}" if path else str(index))
        return found
    return {path: [str(each) for each in (detail if isinstance(detail, list) else [detail])]}


def body(status: int, code: str, detail: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The members of a problem. ``type`` is ``about:blank``: ``code`` is what programs go by."""
    return {
        **(more or {}),
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }


# Outside DRF: no such address, a broken view.


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not request.path.startswith(PREFIX) and "text/html" in request.headers.get("accept", ""):
        return defaults.page_not_found(request, exception)
    return _plain(404, "not_found", "There is nothing at this address.")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not request.path.startswith(PREFIX):
        return defaults.bad_request(request, exception)
    return _plain(400, "invalid_request", "The request cannot be understood.")


def server_error(request: HttpRequest) -> HttpResponse:
    if not request.path.startswith(PREFIX):
        return defaults.server_error(request)
    return _plain(500, "internal_error", "Something went wrong here. The log has the details, under this request's id.")


def _known(error: Exception) -> OllamaMaxError | None:
    if isinstance(error, OllamaMaxError):
        return error
    if isinstance(error, Http404):
        return errors.NotFound("There is no such thing.")
    if isinstance(error, PermissionDenied):
        return errors.Forbidden("You may not do this.")
    if isinstance(error, ValidationError):
        return errors.InvalidRequest(" ".join(error.messages))
    if isinstance(error, SuspiciousOperation):
        return errors.InvalidRequest("The request cannot be understood.")
    if isinstance(error, ProtectedError):
        return errors.Conflict("Something else still uses this.")
    if isinstance(error, IntegrityError):
        return _constraint(error)
    if isinstance(error, OperationalError | redis.ConnectionError | redis.TimeoutError):
        return errors.Unavailable("The database does not answer. Try again soon.", retry_after=5)
    return None


def _constraint(error: IntegrityError) -> OllamaMaxError | None:
    """The human message of the constraint that was violated; ``None`` for one that has none."""
    name = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
    found = _constraints().get(name or "")
    if found is None:
        return None
    message, is_unique = found
    return errors.Conflict(message) if is_unique else errors.InvalidRequest(message)


@functools.cache
def _constraints() -> dict[str, tuple[str, bool]]:
    return {
        constraint.name: (str(constraint.violation_error_message), isinstance(constraint, UniqueConstraint))
        for model in apps.get_models()
        for constraint in model._meta.constraints
        if constraint.violation_error_message != constraint.default_violation_error_message
    }


def _answer(
    status: int,
    code: str,
    detail: str,
    headers: dict[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    return Response(body(status, code, detail, more), status=status, headers=headers, content_type=MEDIA_TYPE)


def _plain(status: int, code: str, detail: str) -> JsonResponse:
    return JsonResponse(body(status, code, detail), status=status, content_type=MEDIA_TYPE)


def _sentence(detail: Any) -> str:
    """The first thing that is wrong, for a person; ``fields`` has all of them."""
    if isinstance(detail, dict) and detail:
        name, inner = next(iter(detail.items()))
        return _sentence(inner) if name == "non_field_errors" else f"{name}: {_sentence(inner)}"
    if isinstance(detail, list) and detail:
        return _sentence(next((item for item in detail if item), ""))
    return str(detail)
