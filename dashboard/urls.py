"""Every address that nothing else has: the console's page, whose router (frontend/src/app/areas.ts) knows what is there."""

from __future__ import annotations

from django.urls import path, re_path

from dashboard.api.live import LiveView, asyncapi_document
from dashboard.views import console

urlpatterns = [
    path("api/v1/live", LiveView.as_view(), name="live"),
    path("api/v1/asyncapi.json", asyncapi_document, name="asyncapi"),
    path("", console, name="console"),
    re_path(r"^(?!api/|static/|v1/|v2/|ws/)(?P<address>.+)$", console, name="console-page"),
]
