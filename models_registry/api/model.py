"""Models of the caller's tenant: every name, the version behind it, and where that version is."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.api.health import HealthSerializer, shown
from cluster.queries.health import health_of
from models_registry import fallback
from models_registry.actions.model import set_profile
from models_registry.actions.order import delete_model
from models_registry.actions.share import share_model
from models_registry.api.job import JobSerializer
from models_registry.api.profile import FallbackSerializer, ProfileSerializer, Strict, fallbacks
from models_registry.models import Channel, Replica
from models_registry.queries import model as queries
from ollamamax.contract.health import FleetHealth
from ollamamax.contract.profile import Profile
from ollamamax.identity.api.base import View
from ollamamax.kernel.principal import Principal


class ReplicaSerializer(serializers.ModelSerializer[Replica]):
    node_name = serializers.CharField(source="node.name")

    class Meta:
        model = Replica
        fields = [
            *("node", "node_name", "desired", "reason", "paused", "state", "in_use", "bytes_done", "bytes_per_second"),
            *("bytes_of_peers", "error", "changed_at"),
        ]


class ModelSerializer(serializers.ModelSerializer[Channel]):
    name = serializers.SerializerMethodField()
    version = serializers.CharField(source="version.digest")
    origin = serializers.CharField(source="version.source", help_text="hosted: our blobs; external: an engine keeps it")
    size = serializers.IntegerField(source="version.size")
    details = serializers.DictField(source="version.details")
    shared = serializers.BooleanField(source="model.shared", help_text="whether every tenant may use it by its name")
    replicas = ReplicaSerializer(source="version.replicas", many=True)
    profile = serializers.SerializerMethodField()
    fallbacks = FallbackSerializer(source="model.fallbacks", many=True)
    reloads_avoided = serializers.SerializerMethodField(
        help_text="Requests whose num_ctx differed from that of the instance which served them; null when not known."
    )

    health = serializers.SerializerMethodField()

    class Meta:
        model = Channel
        fields = [
            *("id", "name", "version", "origin", "size", "details", "shared", "moved_at", "replicas"),
            *("profile", "fallbacks", "reloads_avoided", "health"),
        ]

    @extend_schema_field(ProfileSerializer)
    def get_profile(self, channel: Channel) -> Any:
        return ProfileSerializer(msgspec.convert(channel.model.profile, Profile)).data

    def get_reloads_avoided(self, channel: Channel) -> int | None:
        found: int | None = self.context["reloads_avoided"].get(self.get_name(channel))
        return found

    @extend_schema_field(HealthSerializer)
    def get_health(self, channel: Channel) -> dict[str, Any]:
        report: FleetHealth | None = self.context["health"]
        return shown(report is not None, None if report is None else report.models.get(self.get_name(channel)))

    def get_name(self, channel: Channel) -> str:
        return f"{channel.model.name}:{channel.name}"


class ModelFilters(serializers.Serializer[Any]):
    name = serializers.CharField(
        required=False,
        max_length=200,
        source="model__name__icontains",
        help_text="A part of the name before the colon.",
    )
    tag = serializers.CharField(required=False, max_length=128, source="name", help_text="What stands after the colon.")
    version = serializers.CharField(required=False, max_length=71, source="version__digest")
    shared = serializers.BooleanField(required=False, allow_null=True, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        shared = attrs.pop("shared", None)
        return attrs if shared is None else attrs | {"model__shared": shared}


class ModelChangeSerializer(Strict):
    """For all names of the model. What is left out stays."""

    profile = ProfileSerializer(required=False)
    fallbacks = serializers.ListField(child=FallbackSerializer(), required=False, max_length=fallback.MOST)
    shared = serializers.BooleanField(required=False, help_text="whether every tenant may use it; the operator's only")


class ModelDeletionSerializer(serializers.Serializer[Any]):
    force = serializers.BooleanField(
        default=False, help_text="whether also what aliases point at, or stands in for others, is deleted"
    )


class ModelListView(View):
    permissions = {"GET": "model.view"}
    of_objects = True
    serializer_class = ModelSerializer
    filters = ModelFilters
    orderings = {"moved_at": "moved_at", "name": "model__name"}

    def get_queryset(self) -> QuerySet[Any]:
        return queries.channels(self.acting)

    def _context(self, page: Sequence[Channel]) -> dict[str, Any]:
        return _context(page, self.acting)

    @extend_schema(operation_id="models_list", responses=ModelSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's models that the caller may see, the newest name first."""
        return self.listing(self.get_queryset(), ModelSerializer, self._context)


class ModelView(View):
    permissions = {"GET": "model.view", "PATCH": "model.manage", "DELETE": "model.manage"}
    of_objects = True
    serializer_class = ModelSerializer
    etagged = True
    volatile = frozenset({"replicas", "reloads_avoided", "health"})

    @extend_schema(operation_id="models_retrieve", responses=ModelSerializer)
    def get(self, request: Request, channel_id: uuid.UUID) -> Response:
        """One name of a model."""
        return Response(shown_model(queries.get_channel(self.acting, channel_id), self.acting))

    @extend_schema(operation_id="models_update", request=ModelChangeSerializer, responses=ModelSerializer)
    def patch(self, request: Request, channel_id: uuid.UUID) -> Response:
        """Change how the model is served, or share it with every tenant. It counts for new requests within a second."""
        given = ModelChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        changes = given.validated_data
        if "shared" in changes:
            share_model(acting=self.acting, channel_id=channel_id, shared=changes["shared"])
        if changes.keys() - {"shared"} or not changes:
            set_profile(
                acting=self.acting,
                channel_id=channel_id,
                profile=changes.get("profile"),
                fallbacks=fallbacks(changes.get("fallbacks")),
            )
        return Response(shown_model(queries.get_channel(self.acting, channel_id), self.acting))

    @extend_schema(
        operation_id="models_destroy",
        parameters=[ModelDeletionSerializer],
        responses={204: None, 202: JobSerializer},
    )
    def delete(self, request: Request, channel_id: uuid.UUID) -> Response:
        """Delete a name of a model, and the model with its last one; where engines keep it, by a job. Refused while something points at it."""
        given = ModelDeletionSerializer(data=request.query_params)
        given.is_valid(raise_exception=True)
        job = delete_model(acting=self.acting, channel_id=channel_id, force=given.validated_data["force"])
        return Response(status=204) if job is None else Response(JobSerializer(job).data, status=202)


def shown_model(found: Channel, acting: Principal) -> Any:
    return ModelSerializer(found, context=_context([found], acting)).data


def _context(channels: Sequence[Channel], acting: Principal) -> dict[str, Any]:
    return {"reloads_avoided": queries.reloads_avoided(channels), "health": health_of(acting.tenant or "")}
