"""Aliases of the caller's tenant: further names for its models."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_registry import fallback
from models_registry.actions.alias import change_alias, create_alias, delete_alias
from models_registry.api.profile import FallbackSerializer, Strict, fallbacks
from models_registry.models import Alias
from models_registry.queries import alias as queries
from ollamamax.identity.api.base import View
from ollamamax.identity.api.filters import CreatedFilters


class AliasSerializer(serializers.ModelSerializer[Alias]):
    fallbacks = FallbackSerializer(many=True)

    class Meta:
        model = Alias
        fields = ["id", "name", "target", "fallbacks", "created_at", "changed_at"]


class AliasFilters(CreatedFilters):
    name = serializers.CharField(required=False, max_length=340, source="name__icontains", help_text="A part of it.")
    target = serializers.CharField(required=False, max_length=340)


class AliasChangeSerializer(Strict):
    target = serializers.CharField(max_length=340, required=False, help_text="The model that serves it, as name:tag.")
    fallbacks = serializers.ListField(child=FallbackSerializer(), required=False, max_length=fallback.MOST)


class AliasCreateSerializer(AliasChangeSerializer):
    name = serializers.CharField(max_length=340, help_text="name, or name:tag; the tag is latest when left out.")
    target = serializers.CharField(max_length=340, help_text="The model that serves it, as name:tag.")


class AliasListView(View):
    permissions = {"GET": "model.view", "POST": "model.manage"}
    serializer_class = AliasSerializer
    filters = AliasFilters
    orderings = {"created_at": "created_at", "name": "name"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return queries.aliases()

    @extend_schema(operation_id="aliases_list", responses=AliasSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's aliases, the newest first."""
        return self.listing(self.get_queryset(), AliasSerializer)

    @extend_schema(operation_id="aliases_create", request=AliasCreateSerializer, responses={201: AliasSerializer})
    def post(self, request: Request) -> Response:
        """Let requests for a name be served by a model. An alias of an alias is refused."""
        given = AliasCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        made = create_alias(
            acting=self.acting,
            name=values["name"],
            target=values["target"],
            fallbacks=fallbacks(values.get("fallbacks")) or (),
        )
        return Response(AliasSerializer(made).data, status=201)


class AliasView(View):
    permissions = {"GET": "model.view", "PATCH": "model.manage", "DELETE": "model.manage"}
    serializer_class = AliasSerializer
    etagged = True

    @extend_schema(operation_id="aliases_retrieve", responses=AliasSerializer)
    def get(self, request: Request, alias_id: uuid.UUID) -> Response:
        """One alias."""
        return Response(AliasSerializer(queries.get_alias(alias_id)).data)

    @extend_schema(operation_id="aliases_update", request=AliasChangeSerializer, responses=AliasSerializer)
    def patch(self, request: Request, alias_id: uuid.UUID) -> Response:
        """Point it at another model, or give it other fallbacks. What is left out stays."""
        given = AliasChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        changed = change_alias(
            acting=self.acting,
            alias_id=alias_id,
            target=values.get("target"),
            fallbacks=fallbacks(values.get("fallbacks")),
        )
        return Response(AliasSerializer(changed).data)

    @extend_schema(operation_id="aliases_destroy", responses={204: None})
    def delete(self, request: Request, alias_id: uuid.UUID) -> Response:
        """Forget the name; its model stays."""
        delete_alias(acting=self.acting, alias_id=alias_id)
        return Response(status=204)
