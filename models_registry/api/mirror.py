"""Mirrors of other registries, and what of them is kept."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_registry.actions.mirror import change_mirror, create_mirror, delete_mirror
from models_registry.models import Mirror, MirroredTag
from models_registry.queries.mirror import get_mirror, mirrored_tags, mirrors
from ollamamax.contract.bounds import LARGEST
from ollamamax.identity.api.base import View
from ollamamax.identity.api.serializers import ChangeSerializer

_LONGEST = 30 * 24 * 3600
_LEAST_BYTES = 1 << 20
_MOST_BYTES = "bytes of blobs that are kept: beyond, the longest unused ones go"
_CHECK_SECONDS = "for so long a tag is believed to point where it did; 0: the upstream is always asked"


class MirrorSerializer(serializers.ModelSerializer[Mirror]):
    """`kept_bytes` counts each blob once. `used_at` is null where nothing was pulled yet."""

    kept_bytes = serializers.IntegerField()
    image_count = serializers.IntegerField(help_text="manifests that are kept")
    used_at = serializers.DateTimeField(allow_null=True)

    class Meta:
        model = Mirror
        fields = [
            *("id", "prefix", "upstream", "most_bytes", "check_seconds", "created_at"),
            *("kept_bytes", "image_count", "used_at"),
        ]
        read_only_fields = fields


class MirrorCreateSerializer(serializers.Serializer[Any]):
    prefix = serializers.CharField(
        max_length=64, help_text="`<prefix>/<name>` is pulled here as `<upstream>/<name>` is there"
    )
    upstream = serializers.CharField(
        max_length=255,
        help_text="a host that `OLLAMAMAX_PULL_REGISTRIES` lists, perhaps with the beginning of a path: `registry.ollama.ai/library`",
    )
    most_bytes = serializers.IntegerField(
        min_value=_LEAST_BYTES, max_value=LARGEST, default=100 << 30, help_text=_MOST_BYTES
    )
    check_seconds = serializers.IntegerField(min_value=0, max_value=_LONGEST, default=300, help_text=_CHECK_SECONDS)


class MirrorChangeSerializer(ChangeSerializer):
    most_bytes = serializers.IntegerField(
        min_value=_LEAST_BYTES, max_value=LARGEST, required=False, help_text=_MOST_BYTES
    )
    check_seconds = serializers.IntegerField(min_value=0, max_value=_LONGEST, required=False, help_text=_CHECK_SECONDS)


class MirroredTagSerializer(serializers.ModelSerializer[MirroredTag]):
    """Of `size` bytes, which the manifest tells, `kept_bytes` are here."""

    digest = serializers.CharField(source="image.digest")
    used_at = serializers.DateTimeField(source="image.used_at")
    size = serializers.IntegerField()
    kept_bytes = serializers.IntegerField()

    class Meta:
        model = MirroredTag
        fields = ["id", "repository", "name", "digest", "size", "kept_bytes", "checked_at", "used_at"]
        read_only_fields = fields


class MirrorFilters(serializers.Serializer[Any]):
    prefix = serializers.CharField(max_length=64, required=False, source="prefix__icontains")


class MirroredTagFilters(serializers.Serializer[Any]):
    repository = serializers.CharField(max_length=255, required=False, source="repository__icontains")


class MirrorListView(View):
    permissions = {"GET": "model.view", "POST": "model.manage"}
    serializer_class = MirrorSerializer
    filters = MirrorFilters
    orderings = {"prefix": "prefix", "created_at": "created_at"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return mirrors()

    @extend_schema(operation_id="mirrors_list", responses=MirrorSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's mirrors of other registries, the newest first."""
        return self.listing(self.get_queryset(), MirrorSerializer)

    @extend_schema(operation_id="mirrors_create", request=MirrorCreateSerializer, responses={201: MirrorSerializer})
    def post(self, request: Request) -> Response:
        """Have the images of another registry pulled here, below a prefix. They are fetched when somebody asks for them, and kept."""
        given = MirrorCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = create_mirror(acting=self.acting, **given.validated_data)
        return Response(MirrorSerializer(made).data, status=201)


class MirrorView(View):
    permissions = {"GET": "model.view", "PATCH": "model.manage", "DELETE": "model.manage"}
    serializer_class = MirrorSerializer
    etagged = True
    volatile = frozenset({"kept_bytes", "image_count", "used_at"})

    @extend_schema(operation_id="mirrors_retrieve", responses=MirrorSerializer)
    def get(self, request: Request, mirror_id: uuid.UUID) -> Response:
        """One mirror."""
        return Response(MirrorSerializer(get_mirror(mirror_id)).data)

    @extend_schema(operation_id="mirrors_update", request=MirrorChangeSerializer, responses=MirrorSerializer)
    def patch(self, request: Request, mirror_id: uuid.UUID) -> Response:
        """Change how much is kept, and for how long a tag is believed; what is left out stays."""
        given = MirrorChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(
            MirrorSerializer(change_mirror(acting=self.acting, mirror_id=mirror_id, **given.validated_data)).data
        )

    @extend_schema(operation_id="mirrors_destroy", responses={204: None})
    def delete(self, request: Request, mirror_id: uuid.UUID) -> Response:
        """Delete a mirror with all that is kept of it."""
        delete_mirror(acting=self.acting, mirror_id=mirror_id)
        return Response(status=204)


class MirroredTagListView(View):
    permissions = {"GET": "model.view"}
    serializer_class = MirroredTagSerializer
    filters = MirroredTagFilters
    orderings = {"repository": "repository", "checked_at": "checked_at"}

    @extend_schema(operation_id="mirror_tags", responses=MirroredTagSerializer(many=True))
    def get(self, request: Request, mirror_id: uuid.UUID) -> Response:
        """Tags that were pulled by a mirror, the newest first."""
        return self.listing(mirrored_tags(mirror_id), MirroredTagSerializer)
