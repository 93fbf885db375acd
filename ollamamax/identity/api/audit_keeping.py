"""How long the audit trail is kept, and what of it: legal holds, checkpoints of what was dropped, and the erasure of a person."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.audit import queries
from ollamamax.audit.actions import SYSTEM, chain_of
from ollamamax.audit.erasure import erase_subject
from ollamamax.audit.holds import holds, place_hold, release_hold
from ollamamax.audit.models import Checkpoint, LegalHold
from ollamamax.identity.api.base import View
from ollamamax.identity.rights import require, tenant_of
from ollamamax.kernel.principal import Principal


class ChainSerializer(serializers.Serializer[Any]):
    chain = serializers.ChoiceField(
        ["tenant", SYSTEM], default="tenant", help_text="`system` is of the installation, for its operator."
    )


def chosen_chain(acting: Principal, chosen: str) -> str:
    """Raises `Forbidden` for the installation's, unless its operator asks."""
    if chosen == SYSTEM:
        require(acting, "tenant.manage")
        return SYSTEM
    return chain_of(tenant_of(acting))


class LegalHoldSerializer(serializers.ModelSerializer[LegalHold]):
    """In force until ``released_at``; ``placed_by`` is the id of a user or key."""

    class Meta:
        model = LegalHold
        fields = ["id", "reason", "placed_at", "placed_by", "released_at"]
        read_only_fields = fields


class LegalHoldCreateSerializer(ChainSerializer):
    reason = serializers.CharField(max_length=300)


class CheckpointSerializer(serializers.ModelSerializer[Checkpoint]):
    """Records up to ``seq`` were dropped; the next one follows ``hash``. ``signature`` is Ed25519's, by ``key``, over canonical JSON of the rest."""

    class Meta:
        model = Checkpoint
        fields = ["id", "seq", "hash", "at", "partition", "key", "signature"]
        read_only_fields = fields


class AuditErasureSerializer(ChainSerializer):
    """One of both, or both, where records from before the person had an account are meant too."""

    user = serializers.UUIDField(required=False, help_text="The person's id.")
    email = serializers.CharField(required=False, max_length=254, help_text="The address of who has no account.")
    reason = serializers.CharField(max_length=300, help_text="Stands in the trail: name nobody in it.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "user" not in attrs and "email" not in attrs:
            raise serializers.ValidationError({"user": ["Name a user or an e-mail address."]})
        return attrs


class AuditErasedSerializer(serializers.Serializer[Any]):
    keys = serializers.IntegerField(help_text="That were destroyed.")
    prompts = serializers.IntegerField(default=0, help_text="That were kept, and were deleted.")


class AuditRetentionSerializer(serializers.Serializer[Any]):
    days = serializers.IntegerField(help_text="After which whole months are dropped; 0: never.")
    held = serializers.BooleanField(help_text="Whether a legal hold of this trail is in force.")
    checkpoints = CheckpointSerializer(many=True, help_text="The newest 100.")


class LegalHoldListView(View):
    permissions = {"GET": "audit.view", "POST": "audit.manage"}
    serializer_class = LegalHoldSerializer
    filters = ChainSerializer
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return holds(chosen_chain(self.acting, "tenant"))

    @extend_schema(operation_id="audit_holds_list", responses=LegalHoldSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Legal holds of the trail, the newest first."""
        page = self.paginate_queryset(holds(chosen_chain(self.acting, self.asked()["chain"])))
        return self.get_paginated_response(LegalHoldSerializer(page, many=True).data)

    @extend_schema(
        operation_id="audit_holds_create", request=LegalHoldCreateSerializer, responses={201: LegalHoldSerializer}
    )
    def post(self, request: Request) -> Response:
        """From now on nothing of the trail is dropped, and nobody is erased from it."""
        given = LegalHoldCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        name = chosen_chain(self.acting, given.validated_data["chain"])
        made = place_hold(acting=self.acting, name=name, reason=given.validated_data["reason"])
        return Response(LegalHoldSerializer(made).data, status=201)


class LegalHoldReleaseView(View):
    permissions = {"POST": "audit.manage"}
    serializer_class = LegalHoldSerializer

    @extend_schema(operation_id="audit_holds_release", request=ChainSerializer, responses=LegalHoldSerializer)
    def post(self, request: Request, hold_id: uuid.UUID) -> Response:
        """End a legal hold. Done twice it is done once."""
        given = ChainSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        name = chosen_chain(self.acting, given.validated_data["chain"])
        return Response(LegalHoldSerializer(release_hold(acting=self.acting, name=name, hold_id=hold_id)).data)


class AuditErasureView(View):
    permissions = {"POST": "audit.manage"}
    serializer_class = AuditErasedSerializer

    @extend_schema(operation_id="audit_erase", request=AuditErasureSerializer, responses=AuditErasedSerializer)
    def post(self, request: Request) -> Response:
        """Destroy the key under which a person's name and addresses lie in the trail, and delete their prompts that were kept. There is no way
        back; every hash stays right."""
        given = AuditErasureSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        counts = erase_subject(
            acting=self.acting,
            name=chosen_chain(self.acting, asked["chain"]),
            user=asked["user"].hex if "user" in asked else "",
            email=asked.get("email", ""),
            reason=asked["reason"],
        )
        return Response(AuditErasedSerializer(counts).data)


class AuditRetentionView(View):
    permissions = {"GET": "audit.view"}
    serializer_class = AuditRetentionSerializer
    pagination_class = None

    @extend_schema(operation_id="audit_retention", parameters=[ChainSerializer], responses=AuditRetentionSerializer)
    def get(self, request: Request) -> Response:
        """How long records are kept, and the signed checkpoints of those that were dropped."""
        given = ChainSerializer(data=request.query_params)
        given.is_valid(raise_exception=True)
        name = chosen_chain(self.acting, given.validated_data["chain"])
        shown = {
            "days": settings.ENV["OLLAMAMAX_AUDIT_DAYS"],
            "held": holds(name).filter(released_at=None).exists(),
            "checkpoints": queries.checkpoints(name)[:100],
        }
        return Response(AuditRetentionSerializer(shown).data)
