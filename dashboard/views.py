"""The console's one HTML page. Its script chooses what to show by the address, and asks the API for everything."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt

INDEX: Path = settings.CONSOLE / "index.html"
VERSION = version("ollamamax")
SAFE = ("GET", "HEAD")
NONCE_PLACE, VERSION_PLACE = "__CSP_NONCE__", "__VERSION__"
"""What the build writes where each response has its own nonce (`vite.config.ts`), and where the version belongs."""


@csrf_exempt  # it changes nothing: an address that is not here is said to be unknown, whatever is sent to it
def console(request: HttpRequest, address: str = "") -> HttpResponse:
    """The page, under a nonce of its own. It is never kept: it names the hashed files of this build, and a nonce counts once.

    Whoever does not ask for HTML looks for something else, and is told that it is not here.
    """
    if request.method not in SAFE:
        if address:
            raise Http404
        return HttpResponseNotAllowed(SAFE)
    if address and "text/html" not in request.headers.get("accept", ""):
        raise Http404
    try:
        page = _read(INDEX.stat().st_mtime_ns)
    except FileNotFoundError:
        return HttpResponse(
            "The console is not built. `make up` builds it; by hand: `npm ci && npm run build` in frontend/.\n",
            status=503,
            content_type="text/plain; charset=utf-8",
        )
    return HttpResponse(
        page.replace(NONCE_PLACE, str(request.csp_nonce)),  # type: ignore[attr-defined]  # of django-csp's middleware
        headers={"Cache-Control": "no-store"},
    )


@lru_cache(maxsize=1)
def _read(modified: int) -> str:
    """The page as it was at ``modified``; a new build is read anew."""
    return INDEX.read_text().replace(VERSION_PLACE, VERSION)
