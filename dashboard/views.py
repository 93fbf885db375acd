"""The console's one HTML page. Its script chooses what to show by the address, and asks the API for everything."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

INDEX: Path = settings.CONSOLE / "index.html"


@require_safe
def console(request: HttpRequest, **address: str) -> HttpResponse:
    """The page, never cached: it names the hashed files of this build."""
    del address  # the page reads it itself
    try:
        body = _read(INDEX.stat().st_mtime_ns)
    except FileNotFoundError:
        return HttpResponse(
            "The console is not built. `make up` builds it; by hand: `npm ci && npm run build` in frontend/.\n",
            status=503,
            content_type="text/plain; charset=utf-8",
        )
    return HttpResponse(body, headers={"Cache-Control": "no-cache"})


@lru_cache(maxsize=1)
def _read(modified: int) -> bytes:
    """The page as it was at ``modified``; a new build is read anew."""
    return INDEX.read_bytes()
