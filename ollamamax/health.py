"""Liveness and readiness, for supervisors and load balancers."""

from __future__ import annotations

import redis
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ollamamax.bus import regions


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """This process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """200 while inference can be served, which needs Redis. Without Postgres it can too: ``degraded``."""
    has_postgres, has_redis = _postgres(), _redis()
    status = "unavailable" if not has_redis else "ok" if has_postgres else "degraded"
    found = {"status": status, "postgres": _word(has_postgres), "redis": _word(has_redis)}
    return JsonResponse(found, status=200 if has_redis else 503)


def _postgres() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def _redis() -> bool:
    try:
        return bool(regions.own().client.ping())
    except redis.RedisError:
        return False


def _word(is_there: bool) -> str:
    return "ok" if is_there else "unavailable"
