"""Promotions: what was asked to become production, approved and rejected, and how many must approve."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_registry.actions.promotion import approve_promotion, reject_promotion, set_approvals
from models_registry.api.profile import Strict
from models_registry.models import Promotion
from models_registry.models.promotion import MOST_APPROVALS
from models_registry.queries import release as queries
from ollamamax.identity.api.base import View

_REASON = 500


class ReasonSerializer(Strict):
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=_REASON)


class ApprovalSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    at = serializers.DateTimeField()


class PromotionSerializer(serializers.ModelSerializer[Promotion]):
    model = serializers.CharField(source="release.model.name")
    version = serializers.CharField(source="release.version.digest")
    approvals = ApprovalSerializer(many=True)

    class Meta:
        model = Promotion
        fields = [
            *("id", "release", "model", "version", "state", "reason", "needed"),
            *("approvals", "by_name", "created_at", "ended_at"),
        ]


class PromotionFilters(serializers.Serializer[Any]):
    state = serializers.ChoiceField(Promotion.State.choices, required=False)


class PromotionListView(View):
    permissions = {"GET": "model.view"}
    of_objects = True
    serializer_class = PromotionSerializer
    filters = PromotionFilters

    def get_queryset(self) -> QuerySet[Any]:
        return queries.promotions(self.acting)

    @extend_schema(operation_id="promotions_list", responses=PromotionSerializer(many=True))
    def get(self, request: Request) -> Response:
        """What was asked to become production, the newest first."""
        return self.listing(self.get_queryset(), PromotionSerializer)


class PromotionApproveView(View):
    permissions = {"POST": "model.promote"}
    of_objects = True
    serializer_class = PromotionSerializer
    creates = True

    @extend_schema(operation_id="promotions_approve", request=None, responses=PromotionSerializer)
    def post(self, request: Request, promotion_id: uuid.UUID) -> Response:
        """Approve what another person asked for. The last approval that is needed promotes."""
        return Response(PromotionSerializer(approve_promotion(acting=self.acting, promotion_id=promotion_id)).data)


class PromotionRejectView(View):
    permissions = {"POST": "model.promote"}
    of_objects = True
    serializer_class = PromotionSerializer
    creates = True

    @extend_schema(operation_id="promotions_reject", request=ReasonSerializer, responses=PromotionSerializer)
    def post(self, request: Request, promotion_id: uuid.UUID) -> Response:
        """Reject it, or take back one's own."""
        given = ReasonSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        done = reject_promotion(acting=self.acting, promotion_id=promotion_id, **given.validated_data)
        return Response(PromotionSerializer(done).data)


class PromotionPolicySerializer(Strict):
    approvals = serializers.IntegerField(
        min_value=0, max_value=MOST_APPROVALS, help_text="how many people besides the one who asks must approve"
    )


class PromotionPolicyView(View):
    permissions = {"GET": "model.view", "PUT": "member.manage"}
    serializer_class = PromotionPolicySerializer
    pagination_class = None

    @extend_schema(operation_id="promotion_policy_retrieve", responses=PromotionPolicySerializer)
    def get(self, request: Request) -> Response:
        """How many others must approve before a version becomes production."""
        return Response({"approvals": queries.approvals_needed()})

    @extend_schema(
        operation_id="promotion_policy_update",
        request=PromotionPolicySerializer,
        responses=PromotionPolicySerializer,
    )
    def put(self, request: Request) -> Response:
        """Set it for the tenant."""
        given = PromotionPolicySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        set_approvals(acting=self.acting, approvals=given.validated_data["approvals"])
        return Response({"approvals": queries.approvals_needed()})
