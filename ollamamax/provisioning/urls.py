"""Addresses of provisioning that are no part of the management API."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt  # the token in the header is the credential; cookies are not looked at
@never_cache
def scim(request: HttpRequest, path: str) -> HttpResponse:
    """Everything below `/scim/v2/`. The first request loads the protocol's library, which takes a third of the start of web."""
    from ollamamax.provisioning.protocol.view import answer

    return answer(request, path)


urlpatterns = [path("scim/v2", scim, {"path": ""}, name="scim-root"), path("scim/v2/<path:path>", scim, name="scim")]
