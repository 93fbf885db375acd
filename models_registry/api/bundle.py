"""Bundles: models out of this installation in one signed file, and in from another one's; whose are taken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_registry.actions.bundle import bundle_bytes, export_bundle, order_import, set_trusted_signers
from models_registry.api.job import JobSerializer
from models_registry.api.profile import Strict
from models_registry.bundle import layout, signing
from models_registry.protocol.v2.access import token_of_key
from models_registry.queries.bundle import trusted_signers
from ollamamax.identity.actions.playground import issue_upload_key
from ollamamax.identity.api.account import own_session
from ollamamax.identity.api.base import View
from ollamamax.identity.api.export import Unnegotiated

MOST_CHANNELS = 200
MOST_SIGNERS = 50
_TYPE = "application/x-tar"
_REPOSITORY = "library/bundles"
"""Uploads are of a repository; this one's name is no model's until somebody calls one so."""


class _BundleFile(StreamingHttpResponse):
    def __init__(self, members: list[layout.BundleMember]) -> None:
        self._pieces = bundle_bytes(members)
        super().__init__(self._pieces, content_type=_TYPE)
        self["Content-Length"] = str(layout.size_of(members))
        self["Content-Disposition"] = 'attachment; filename="models.bundle.tar"'
        self["Cache-Control"] = "no-store"
        self["X-Content-Type-Options"] = "nosniff"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Django would gather what an ordinary iterator gives before it sent any."""
        while (piece := await sync_to_async(_next)(self._pieces)) is not None:
            yield piece


def _next(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)


class BundleExportFilters(serializers.Serializer[Any]):
    channel = serializers.ListField(
        child=serializers.UUIDField(),
        min_length=1,
        max_length=MOST_CHANNELS,
        help_text="ids of channels, as `/api/v1/models` lists them; the parameter is repeated",
    )


class BundleExportView(View):
    permissions = {"GET": "model.view"}
    of_objects = True
    serializer_class = BundleExportFilters
    pagination_class = None
    content_negotiation_class = Unnegotiated

    @extend_schema(
        operation_id="bundles_export",
        parameters=[BundleExportFilters],
        responses={(200, _TYPE): OpenApiResponse(OpenApiTypes.BINARY)},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """One signed file (an OCI image layout in a tar) with these channels, their versions, and all their bytes."""
        given = BundleExportFilters(data={"channel": request.query_params.getlist("channel")})
        given.is_valid(raise_exception=True)
        return _BundleFile(export_bundle(acting=self.acting, channel_ids=given.validated_data["channel"]))


class BundleImportSerializer(Strict):
    digest = serializers.RegexField(
        r"^sha256:[0-9a-f]{64}\Z",
        max_length=71,
        help_text="of the file, which was sent before: to `/api/blobs/`, or by the registry protocol in chunks",
    )


class BundleUploadTokenSerializer(serializers.Serializer[Any]):
    """``token`` goes to the registry protocol as `Authorization: Bearer`; keep it in the page's memory only."""

    token = serializers.CharField()
    repository = serializers.CharField(help_text="the only one that it may pull from and push to, below `/v2/`")
    expires_at = serializers.DateTimeField()


class BundleUploadTokenView(View):
    permissions = {"POST": "model.manage"}
    serializer_class = BundleUploadTokenSerializer

    @extend_schema(operation_id="bundles_upload_token", request=None, responses={201: BundleUploadTokenSerializer})
    def post(self, request: Request) -> Response:
        """A token of ten minutes, by which the session's page sends a bundle in chunks by the registry protocol; it ends with the session."""
        _, session = own_session(request)
        key = issue_upload_key(acting=self.acting, session=session)
        token = token_of_key(key.identifier, key.secret_hash, {_REPOSITORY: ["pull", "push"]})
        told = {"token": token, "repository": _REPOSITORY, "expires_at": key.expires_at}
        shown = BundleUploadTokenSerializer(told).data
        return Response(shown, status=201, headers={"Cache-Control": "no-store"})


class BundleImportView(View):
    permissions = {"POST": "model.manage"}
    serializer_class = JobSerializer
    creates = True

    @extend_schema(operation_id="bundles_import", request=BundleImportSerializer, responses={202: JobSerializer})
    def post(self, request: Request) -> Response:
        """Take in a bundle that somebody whom the tenant trusts has signed: all of it, after every byte was verified, or nothing."""
        given = BundleImportSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(JobSerializer(order_import(acting=self.acting, **given.validated_data)).data, status=202)


class SignerSerializer(Strict):
    name = serializers.CharField(max_length=100)
    key = serializers.RegexField(r"^[0-9a-f]{64}\Z", max_length=64, help_text="Ed25519's, in hexadecimal digits")


class SignersSerializer(Strict):
    own = serializers.CharField(read_only=True, help_text="the key that signs this installation's bundles")
    signers = serializers.ListField(
        child=SignerSerializer(), max_length=MOST_SIGNERS, help_text="whose bundles are taken besides its own"
    )


class BundleSignersView(View):
    permissions = {"GET": "model.view", "PUT": "member.manage"}
    serializer_class = SignersSerializer
    pagination_class = None

    @extend_schema(operation_id="bundle_signers_retrieve", responses=SignersSerializer)
    def get(self, request: Request) -> Response:
        """Whose bundles the tenant takes, and the key by which others know this installation's."""
        return Response({"own": signing.public_key(settings.SECRET_KEY), "signers": trusted_signers()})

    @extend_schema(operation_id="bundle_signers_update", request=SignersSerializer, responses=SignersSerializer)
    def put(self, request: Request) -> Response:
        """Say whose bundles the tenant takes besides those of this installation."""
        given = SignersSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        set_trusted_signers(acting=self.acting, signers=given.validated_data["signers"])
        return self.get(request)
