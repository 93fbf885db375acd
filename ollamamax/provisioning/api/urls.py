"""Addresses of provisioning below `/api/v1/`."""

from __future__ import annotations

from django.urls import path

from ollamamax.provisioning.api.directory import DirectoryView, ScimTokenListView, ScimTokenRotateView, ScimTokenView

_OF = "sso/providers/<uuid:provider_id>/directory"

urlpatterns = [
    path(_OF, DirectoryView.as_view(), name="sso-directory"),
    path(f"{_OF}/tokens", ScimTokenListView.as_view(), name="sso-directory-tokens"),
    path(f"{_OF}/tokens/<uuid:token_id>", ScimTokenView.as_view(), name="sso-directory-token"),
    path(f"{_OF}/tokens/<uuid:token_id>/rotate", ScimTokenRotateView.as_view(), name="sso-directory-token-rotate"),
]
