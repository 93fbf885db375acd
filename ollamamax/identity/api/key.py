"""API keys of the caller's tenant."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.actions.key import change_key, issue_key, revoke_key
from ollamamax.identity.actions.key_leak import report_leaked_key
from ollamamax.identity.actions.key_rotation import rotate_key
from ollamamax.identity.api.base import PUBLIC, View
from ollamamax.identity.api.filters import KeyFilters
from ollamamax.identity.api.request_id import id_of
from ollamamax.identity.api.serializers import (
    CreatedKeySerializer,
    KeyChangeSerializer,
    KeyCreateSerializer,
    KeyRotationSerializer,
    KeySerializer,
    LeakedKeySerializer,
)
from ollamamax.identity.queries.key import get_key, keys_of_tenant


class KeyListView(View):
    permissions = {"GET": "key.view", "POST": "key.manage"}
    serializer_class = KeySerializer
    filters = KeyFilters
    orderings = {"created_at": "created_at", "name": "name"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return keys_of_tenant()

    @extend_schema(operation_id="keys_list", responses=KeySerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's keys, the newest first; revoked ones too."""
        return self.listing(self.get_queryset(), KeySerializer)

    @extend_schema(operation_id="keys_create", request=KeyCreateSerializer, responses={201: CreatedKeySerializer})
    def post(self, request: Request) -> Response:
        """Issue a key. Its secret is in this answer and never again."""
        given = KeyCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        key, text = issue_key(acting=self.acting, **given.validated_data)
        return Response({**KeySerializer(key).data, "secret": text}, status=201, headers={"Cache-Control": "no-store"})


class KeyLeakView(View):
    permissions = {"POST": PUBLIC}
    # Who reports is nobody here, and their browser's session must not matter.
    authentication_classes = []
    serializer_class = LeakedKeySerializer

    @extend_schema(operation_id="keys_report_leak", request=LeakedKeySerializer, responses={204: None}, auth=[])
    def post(self, request: Request) -> Response:
        """Report a key that was found where it should not be: if it works, it is revoked. The answer is the same for every text."""
        given = LeakedKeySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        address = request.META.get("REMOTE_ADDR", "")
        report_leaked_key(text=given.validated_data["key"], address=address, request_id=id_of(request))
        return Response(status=204)


class KeyRotateView(View):
    permissions = {"POST": "key.manage"}
    serializer_class = CreatedKeySerializer
    creates = True

    @extend_schema(operation_id="keys_rotate", request=KeyRotationSerializer, responses={201: CreatedKeySerializer})
    def post(self, request: Request, key_id: uuid.UUID) -> Response:
        """Give a key another secret, which is in this answer and never again; the one before works on for a while."""
        given = KeyRotationSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        overlap = datetime.timedelta(seconds=given.validated_data["overlap_seconds"])
        key, text = rotate_key(acting=self.acting, key_id=key_id, overlap=overlap)
        return Response({**KeySerializer(key).data, "secret": text}, status=201, headers={"Cache-Control": "no-store"})


class KeyView(View):
    permissions = {"GET": "key.view", "PATCH": "key.manage", "DELETE": "key.manage"}
    serializer_class = KeySerializer
    etagged = True
    volatile = frozenset({"last_used_at"})

    @extend_schema(operation_id="keys_retrieve", responses=KeySerializer)
    def get(self, request: Request, key_id: uuid.UUID) -> Response:
        """One key."""
        return Response(KeySerializer(get_key(key_id)).data)

    @extend_schema(operation_id="keys_update", request=KeyChangeSerializer, responses=KeySerializer)
    def patch(self, request: Request, key_id: uuid.UUID) -> Response:
        """Change a key's name, permissions, end, limits, priority or strictness; what is left out stays."""
        given = KeyChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(KeySerializer(change_key(acting=self.acting, key_id=key_id, **given.validated_data)).data)

    @extend_schema(operation_id="keys_destroy", responses={204: None})
    def delete(self, request: Request, key_id: uuid.UUID) -> Response:
        """Revoke a key: it stops working everywhere within a second, for ever. Doing so again changes nothing."""
        revoke_key(acting=self.acting, key_id=key_id)
        return Response(status=204)
