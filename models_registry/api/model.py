"""Models of the caller's tenant: every name, the version behind it, and where that version is."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_registry.actions.model import share_model
from models_registry.models import Channel, Replica
from models_registry.queries.model import channels
from ollamamax.identity.api.base import View
from ollamamax.identity.api.serializers import ChangeSerializer


class ReplicaSerializer(serializers.ModelSerializer[Replica]):
    node_name = serializers.CharField(source="node.name")

    class Meta:
        model = Replica
        fields = ["node", "node_name", "state", "bytes_done", "error", "changed_at"]


class ModelSerializer(serializers.ModelSerializer[Channel]):
    name = serializers.SerializerMethodField()
    version = serializers.CharField(source="version.digest")
    origin = serializers.CharField(source="version.source", help_text="hosted: our blobs; external: an engine keeps it")
    size = serializers.IntegerField(source="version.size")
    details = serializers.DictField(source="version.details")
    shared = serializers.BooleanField(source="model.shared", help_text="whether every tenant may use it by its name")
    replicas = ReplicaSerializer(source="version.replicas", many=True)

    class Meta:
        model = Channel
        fields = ["id", "name", "version", "origin", "size", "details", "shared", "moved_at", "replicas"]

    def get_name(self, channel: Channel) -> str:
        return f"{channel.model.name}:{channel.name}"


class ModelChangeSerializer(ChangeSerializer):
    shared = serializers.BooleanField(
        required=False, help_text="for models of the operator only; all tags of the model"
    )


class ModelListView(View):
    permissions = {"GET": "model.view"}
    serializer_class = ModelSerializer

    def get_queryset(self) -> QuerySet[Any]:
        return channels()

    @extend_schema(operation_id="models_list", responses=ModelSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's models, the newest name first."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(ModelSerializer(page, many=True).data)


class ModelView(View):
    permissions = {"PATCH": "model.manage"}
    serializer_class = ModelSerializer

    @extend_schema(operation_id="models_update", request=ModelChangeSerializer, responses=ModelSerializer)
    def patch(self, request: Request, model_id: uuid.UUID) -> Response:
        """Share a model (by the id of one of its names) with every tenant, or end that."""
        given = ModelChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(
            ModelSerializer(share_model(acting=self.acting, channel_id=model_id, **given.validated_data)).data
        )
