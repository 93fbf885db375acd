"""Every address that Django serves; the gateway's own are answered before Django, in `ollamamax.asgi`."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from ollamamax import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("api/v1/", include("ollamamax.identity.api.urls")),
    path("api/v1/", include("ollamamax.sso.api.urls")),
    path("api/v1/", include("ollamamax.provisioning.api.urls")),
    path("api/v1/", include("ollamamax.oauth.api.urls")),
    path("api/v1/", include("ollamamax.metering.api.urls")),
    path("api/v1/", include("ollamamax.notifications.api.urls")),
    path("api/v1/", include("cluster.api.urls")),
    path("api/v1/", include("models_registry.api.urls")),
    path("api/v1/", include("ollamamax.batches.api.urls")),
    path("api/v1/", include("ollamamax.evaluations.api.urls")),
    path("api/v1/", include("dashboard.api.urls")),
    path("", include("ollamamax.sso.urls")),
    path("", include("ollamamax.provisioning.urls")),
    path("", include("ollamamax.oauth.urls")),
    path("", include("dashboard.urls")),
]
handler400 = "ollamamax.identity.api.problems.bad_request"
handler404 = "ollamamax.identity.api.problems.not_found"
handler500 = "ollamamax.identity.api.problems.server_error"
