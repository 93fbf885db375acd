"""The directory of an identity provider: what it told, and the tokens by which it comes."""

from __future__ import annotations

import uuid
from dataclasses import asdict

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.api.base import View
from ollamamax.provisioning.actions.token import issue_token, revoke_token, rotate_token
from ollamamax.provisioning.api.serializers import (
    DirectoryStatusSerializer,
    IssuedScimTokenSerializer,
    ScimTokenCreateSerializer,
    ScimTokenRotateSerializer,
)
from ollamamax.provisioning.models import ScimToken
from ollamamax.provisioning.protocol.address import base_url
from ollamamax.provisioning.queries.directory import status_of, tokens
from ollamamax.sso.queries.provider import get_provider


class DirectoryView(View):
    permissions = {"GET": "sso.view"}
    serializer_class = DirectoryStatusSerializer

    @extend_schema(operation_id="sso_providers_directory", responses=DirectoryStatusSerializer)
    def get(self, request: Request, provider_id: uuid.UUID) -> Response:
        """What the provider's directory has told by SCIM, and its tokens."""
        provider = get_provider(provider_id)
        shown = asdict(status_of(provider.pk)) | {"url": base_url(), "tokens": list(tokens(provider.pk))}
        return Response(DirectoryStatusSerializer(shown).data)


class ScimTokenListView(View):
    permissions = {"POST": "sso.manage"}
    serializer_class = IssuedScimTokenSerializer
    creates = True

    @extend_schema(
        operation_id="sso_providers_tokens_create",
        request=ScimTokenCreateSerializer,
        responses={201: IssuedScimTokenSerializer},
    )
    def post(self, request: Request, provider_id: uuid.UUID) -> Response:
        """Make a token for the provider's directory. From then on only those that it tells of may log in by the provider."""
        given = ScimTokenCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return _issued(issue_token(acting=self.acting, provider_id=provider_id, **given.validated_data))


class ScimTokenView(View):
    permissions = {"DELETE": "sso.manage"}

    @extend_schema(operation_id="sso_providers_tokens_revoke", responses={204: None})
    def delete(self, request: Request, provider_id: uuid.UUID, token_id: uuid.UUID) -> Response:
        """Refuse a token from now on."""
        revoke_token(acting=self.acting, provider_id=provider_id, token_id=token_id)
        return Response(status=204)


class ScimTokenRotateView(View):
    permissions = {"POST": "sso.manage"}
    serializer_class = IssuedScimTokenSerializer
    creates = True

    @extend_schema(
        operation_id="sso_providers_tokens_rotate",
        request=ScimTokenRotateSerializer,
        responses={201: IssuedScimTokenSerializer},
    )
    def post(self, request: Request, provider_id: uuid.UUID, token_id: uuid.UUID) -> Response:
        """Another token in the place of one, which is taken for some hours more."""
        given = ScimTokenRotateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return _issued(
            rotate_token(acting=self.acting, provider_id=provider_id, token_id=token_id, **given.validated_data)
        )


def _issued(made: tuple[ScimToken, str]) -> Response:
    row, text = made
    row.token = text  # type: ignore[attr-defined]
    return Response(IssuedScimTokenSerializer(row).data, status=201, headers={"Cache-Control": "no-store"})
