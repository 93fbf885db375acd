"""Models that are pulled, made, copied and deleted by the management API: what takes long is a job."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_registry.actions.order import copy_model, order_creation, order_pull
from models_registry.api.job import JobSerializer
from models_registry.api.model import ModelSerializer, shown_model
from models_registry.api.profile import Strict
from models_registry.queries.model import get_channel
from models_registry.queries.uses import Uses, uses_of
from models_registry.recipe import CreateRequest
from ollamamax.identity.api.base import View

_NAME = 340
_MOST_TEXT = 1 << 20


class PullSerializer(Strict):
    model = serializers.CharField(
        max_length=_NAME, help_text="`name:tag` of Ollama's registry, or `host/namespace/name:tag` of another"
    )
    insecure = serializers.BooleanField(required=False, default=False, help_text="whether plain HTTP is good enough")


class CreationSerializer(Strict):
    """Of ``from`` and ``files`` there must be one: another model of the tenant, or a GGUF file that was sent as a blob before."""

    model = serializers.CharField(max_length=_NAME, help_text="what it is to be called, as `name:tag`")
    files = serializers.DictField(
        child=serializers.CharField(max_length=80), required=False, help_text="file name to the digest of its blob"
    )
    adapters = serializers.DictField(
        child=serializers.CharField(max_length=80), required=False, help_text="LoRA files: file name to digest"
    )
    template = serializers.CharField(required=False, max_length=_MOST_TEXT, allow_blank=True, trim_whitespace=False)
    system = serializers.CharField(required=False, max_length=_MOST_TEXT, allow_blank=True, trim_whitespace=False)
    license = serializers.CharField(required=False, max_length=_MOST_TEXT, allow_blank=True, trim_whitespace=False)
    parameters = serializers.DictField(required=False, help_text="as in Ollama's Modelfile: `temperature`, `num_ctx`")
    modelfile = serializers.CharField(
        required=False,
        max_length=_MOST_TEXT,
        allow_blank=True,
        trim_whitespace=False,
        help_text="all of the above as a Modelfile; fields go before what it says",
    )

    def get_fields(self) -> dict[str, Any]:
        # A word of Python's: it cannot be the name of an attribute.
        return {
            **super().get_fields(),
            "from": serializers.CharField(max_length=_NAME, required=False, help_text="a model of the tenant"),
        }


class CopySerializer(Strict):
    name = serializers.CharField(max_length=_NAME, help_text="the further name, as `name:tag`")


class UsesSerializer(serializers.Serializer[Uses]):
    """What uses a name of a model, and what its deletion would do."""

    names = serializers.ListField(
        child=serializers.CharField(), help_text="others of the same version: the bytes stay for them"
    )
    aliases = serializers.ListField(child=serializers.CharField(), help_text="they would point at nothing")
    fallbacks = serializers.ListField(
        child=serializers.CharField(), help_text="models and aliases for which it stands in"
    )
    replicas = serializers.IntegerField(help_text="nodes that have it")
    running = serializers.IntegerField(help_text="the tenant's requests that run with it now")
    shared = serializers.BooleanField(help_text="whether every tenant uses it")
    by_engines = serializers.BooleanField(help_text="whether engines keep it: they delete it themselves, by a job")


class ModelPullView(View):
    permissions = {"POST": "model.manage"}
    serializer_class = JobSerializer
    creates = True

    @extend_schema(operation_id="models_pull", request=PullSerializer, responses={202: JobSerializer})
    def post(self, request: Request) -> Response:
        """Pull a model by its name. The job says how far it is; the same one is not begun twice."""
        given = PullSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(JobSerializer(order_pull(acting=self.acting, **given.validated_data)).data, status=202)


class ModelCreateView(View):
    permissions = {"POST": "model.manage"}
    serializer_class = JobSerializer
    creates = True

    @extend_schema(operation_id="models_create", request=CreationSerializer, responses={202: JobSerializer})
    def post(self, request: Request) -> Response:
        """Make a model of another one, or of a GGUF file that was sent to `/api/blobs/` before."""
        given = CreationSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        asked = CreateRequest(**{"from_" if name == "from" else name: value for name, value in values.items()})
        return Response(JobSerializer(order_creation(acting=self.acting, asked=asked)).data, status=202)


class ModelCopyView(View):
    permissions = {"POST": "model.manage"}
    of_objects = True
    serializer_class = ModelSerializer
    creates = True

    @extend_schema(operation_id="models_copy", request=CopySerializer, responses={201: ModelSerializer})
    def post(self, request: Request, channel_id: uuid.UUID) -> Response:
        """Give the version another name besides; no bytes are copied."""
        given = CopySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = copy_model(acting=self.acting, channel_id=channel_id, name=given.validated_data["name"])
        return Response(shown_model(get_channel(self.acting, made.id), self.acting), status=201)


class ModelUsesView(View):
    permissions = {"GET": "model.view"}
    of_objects = True
    serializer_class = UsesSerializer
    pagination_class = None

    @extend_schema(operation_id="models_uses", responses=UsesSerializer)
    def get(self, request: Request, channel_id: uuid.UUID) -> Response:
        """What uses this name of a model, for who thinks of deleting it."""
        return Response(UsesSerializer(uses_of(get_channel(self.acting, channel_id))).data)
