"""Addresses of provisioning that are no part of the management API."""

from __future__ import annotations

from django.urls import path

from ollamamax.provisioning.protocol.view import scim

urlpatterns = [path("scim/v2", scim, {"path": ""}, name="scim-root"), path("scim/v2/<path:path>", scim, name="scim")]
