"""Channels of a model: made, moved, moved back, protected; and what differs between the versions they may point at."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_registry.actions.blob import blob_store
from models_registry.actions.release import make_channel, move_channel, protect_channel, roll_back
from models_registry.api.profile import Strict
from models_registry.api.promotion import ReasonSerializer
from models_registry.models import Channel, ChannelMove
from models_registry.queries import release as queries
from models_registry.queries.model import get_channel
from ollamamax.identity.api.base import View

_DIGEST = 71


def _digest(help_text: str) -> serializers.RegexField:
    return serializers.RegexField(r"^sha256:[0-9a-f]{64}\Z", max_length=_DIGEST, help_text=help_text)


class ChannelMoveRequestSerializer(ReasonSerializer):
    version = _digest("a version of the same model")


class ChannelCreateSerializer(ChannelMoveRequestSerializer):
    name = serializers.RegexField(r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z", max_length=128)


class ProtectionSerializer(Strict):
    protected = serializers.BooleanField(
        help_text="whether it takes versions in production only, moved by those who may promote"
    )


class ChannelSerializer(serializers.ModelSerializer[Channel]):
    """One channel of a model."""

    version = serializers.CharField(source="version.digest")

    class Meta:
        model = Channel
        fields = ["id", "name", "version", "protected", "moved_at"]


class ChannelMoveSerializer(serializers.ModelSerializer[ChannelMove]):
    class Meta:
        model = ChannelMove
        fields = ["id", "channel", "from_version", "to_version", "reason", "by_kind", "by_name", "moved_at"]


class ComparisonFilters(serializers.Serializer[Any]):
    before = _digest("a version of the model")
    after = _digest("another version of the model")


class DifferenceSerializer(serializers.Serializer[Any]):
    field = serializers.CharField(help_text="a fact, `parameter:<name>`, `template`, `system`, `weights`")
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class ModelChannelListView(View):
    permissions = {"GET": "model.view", "POST": "model.manage"}
    of_objects = True
    serializer_class = ChannelSerializer
    orderings = {"moved_at": "moved_at", "name": "name"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return queries.channels_of(self.acting, self.kwargs["channel_id"])

    @extend_schema(operation_id="models_channels", responses=ChannelSerializer(many=True))
    def get(self, request: Request, channel_id: uuid.UUID) -> Response:
        """The channels of the model that has this one."""
        return self.listing(self.get_queryset(), ChannelSerializer)

    @extend_schema(
        operation_id="models_channels_create", request=ChannelCreateSerializer, responses={201: ChannelSerializer}
    )
    def post(self, request: Request, channel_id: uuid.UUID) -> Response:
        """A further channel of the model, at one of its versions."""
        given = ChannelCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = make_channel(acting=self.acting, channel_id=channel_id, **given.validated_data)
        return Response(ChannelSerializer(made).data, status=201)


class ChannelMoveFilters(serializers.Serializer[Any]):
    channel = serializers.CharField(required=False, max_length=128)


class ModelMoveListView(View):
    permissions = {"GET": "model.view", "POST": "model.manage"}
    of_objects = True
    serializer_class = ChannelMoveSerializer
    filters = ChannelMoveFilters
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return queries.moves(self.acting, self.kwargs["channel_id"])

    @extend_schema(operation_id="models_moves", responses=ChannelMoveSerializer(many=True))
    def get(self, request: Request, channel_id: uuid.UUID) -> Response:
        """Every move of the model's channels, the newest first."""
        return self.listing(self.get_queryset(), ChannelMoveSerializer)

    @extend_schema(operation_id="models_move", request=ChannelMoveRequestSerializer, responses={201: ChannelSerializer})
    def post(self, request: Request, channel_id: uuid.UUID) -> Response:
        """Point the channel at another version of its model. It counts for new requests within a second."""
        given = ChannelMoveRequestSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        moved = move_channel(acting=self.acting, channel_id=channel_id, **given.validated_data)
        return Response(ChannelSerializer(moved).data, status=201)


class ModelRollbackView(View):
    permissions = {"POST": "model.manage"}
    of_objects = True
    serializer_class = ChannelSerializer
    creates = True

    @extend_schema(operation_id="models_rollback", request=ReasonSerializer, responses=ChannelSerializer)
    def post(self, request: Request, channel_id: uuid.UUID) -> Response:
        """Point the channel at the version that it pointed at before."""
        given = ReasonSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        moved = roll_back(acting=self.acting, channel_id=channel_id, **given.validated_data)
        return Response(ChannelSerializer(moved).data)


class ModelProtectionView(View):
    permissions = {"PUT": "model.promote"}
    of_objects = True
    serializer_class = ChannelSerializer

    @extend_schema(operation_id="models_protect", request=ProtectionSerializer, responses=ChannelSerializer)
    def put(self, request: Request, channel_id: uuid.UUID) -> Response:
        """Protect the channel, or no longer."""
        given = ProtectionSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        protect_channel(acting=self.acting, channel_id=channel_id, **given.validated_data)
        return Response(ChannelSerializer(get_channel(self.acting, channel_id)).data)


class ModelComparisonView(View):
    permissions = {"GET": "model.view"}
    of_objects = True
    serializer_class = DifferenceSerializer
    pagination_class = None

    @extend_schema(
        operation_id="models_compare", parameters=[ComparisonFilters], responses=DifferenceSerializer(many=True)
    )
    def get(self, request: Request, channel_id: uuid.UUID) -> Response:
        """What differs between two versions of the model: facts, weights, parameters, template, system message."""
        given = ComparisonFilters(data=request.query_params)
        given.is_valid(raise_exception=True)
        channel = get_channel(self.acting, channel_id)
        before, after = (
            queries.release_in(channel, given.validated_data[each]).version for each in ("before", "after")
        )
        found = queries.compare(blob_store(), before, after)
        return Response(DifferenceSerializer(found, many=True).data)
