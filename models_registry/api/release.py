"""Versions of a model: their stage, where they are, what uses them."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_registry.actions.release import change_stage, delete_release
from models_registry.api.model import ReplicaSerializer
from models_registry.api.promotion import PromotionSerializer, ReasonSerializer
from models_registry.models import Release
from models_registry.queries import release as queries
from ollamamax.identity.api.base import View


class StageSerializer(ReasonSerializer):
    stage = serializers.ChoiceField(Release.Stage.choices)


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    model = serializers.CharField(source="model.name")
    version = serializers.CharField(source="version.digest")
    kind = serializers.CharField(
        source="version.source", help_text="hosted: our blobs; external: an engine keeps it; artifact: nobody serves it"
    )
    size = serializers.IntegerField(source="version.size")
    details = serializers.DictField(source="version.details")
    channels = serializers.SerializerMethodField()
    replicas = ReplicaSerializer(source="version.replicas", many=True)
    uses = serializers.SerializerMethodField(help_text="why it cannot be deleted; empty when it can")
    promotion = serializers.SerializerMethodField(help_text="the promotion that waits for others, if one does")

    class Meta:
        model = Release
        fields = [
            *("id", "model", "version", "kind", "size", "details", "stage", "stage_changed_at", "origin"),
            *("by_kind", "by_name", "created_at", "channels", "replicas", "uses", "promotion"),
        ]

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_channels(self, release: Release) -> list[str]:
        return queries.channels_at(release)

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_uses(self, release: Release) -> list[str]:
        return queries.uses_of_release(release)

    @extend_schema_field(PromotionSerializer(allow_null=True))
    def get_promotion(self, release: Release) -> Any:
        found = next(iter(release.promotions.all()), None)
        if found is None:
            return None
        found.release = release
        return PromotionSerializer(found).data


class ReleaseFilters(serializers.Serializer[Any]):
    stage = serializers.ChoiceField(Release.Stage.choices, required=False)


class ReleaseListView(View):
    permissions = {"GET": "model.view"}
    of_objects = True
    serializer_class = ReleaseSerializer
    filters = ReleaseFilters
    orderings = {"created_at": "created_at"}

    def get_queryset(self) -> QuerySet[Any]:
        return queries.releases(self.acting, self.kwargs["channel_id"])

    @extend_schema(operation_id="models_versions", responses=ReleaseSerializer(many=True))
    def get(self, request: Request, channel_id: uuid.UUID) -> Response:
        """The versions of the model that has this channel, the newest first."""
        return self.listing(self.get_queryset(), ReleaseSerializer)


class ReleaseView(View):
    permissions = {"GET": "model.view", "PATCH": "model.view", "DELETE": "model.manage"}
    of_objects = True
    serializer_class = ReleaseSerializer
    etagged = True
    volatile = frozenset({"replicas"})

    @extend_schema(operation_id="versions_retrieve", responses=ReleaseSerializer)
    def get(self, request: Request, release_id: uuid.UUID) -> Response:
        """One version of a model."""
        return Response(ReleaseSerializer(queries.get_release(self.acting, release_id)).data)

    @extend_schema(operation_id="versions_update", request=StageSerializer, responses=ReleaseSerializer)
    def patch(self, request: Request, release_id: uuid.UUID) -> Response:
        """Bring it into another stage: `model.promote` to and from production, `model.manage` otherwise. Where others must approve, this asks for it."""
        given = StageSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        change_stage(acting=self.acting, release_id=release_id, **given.validated_data)
        return Response(ReleaseSerializer(queries.get_release(self.acting, release_id)).data)

    @extend_schema(operation_id="versions_destroy", responses={204: None})
    def delete(self, request: Request, release_id: uuid.UUID) -> Response:
        """Forget it. Refused while anything uses it."""
        delete_release(acting=self.acting, release_id=release_id)
        return Response(status=204)
