"""The OpenAPI document, and pages that show it without any inline script or style."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "ollamamax.identity.api.base.KeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API key, `omx_...`."}


class Schema(SpectacularAPIView):
    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]


class Docs(SpectacularSwaggerSplitView):
    """The page's script is the same address with ``?script``: the content security policy lets it run."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    url_name = "schema"
    template_name = "identity/docs.html"
