"""Evaluations of versions: ordered, watched, cancelled, compared."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from models_registry.api.channel import ComparisonFilters
from ollamamax.evaluations.actions.evaluation import cancel_evaluation, start_evaluation
from ollamamax.evaluations.api.serializers import (
    ComparedSuiteSerializer,
    EvaluationFilters,
    EvaluationResultFilters,
    EvaluationResultSerializer,
    EvaluationSerializer,
    EvaluationStartSerializer,
)
from ollamamax.evaluations.queries import evaluation as queries
from ollamamax.identity.api.base import Pages, View


class EvaluationListView(View):
    permissions = {"GET": "model.view"}
    of_objects = True
    serializer_class = EvaluationSerializer
    filters = EvaluationFilters

    def get_queryset(self) -> QuerySet[Any]:
        return queries.evaluations(self.acting)

    @extend_schema(operation_id="evaluations_list", responses=EvaluationSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Evaluations of all models, the newest first."""
        return self.listing(self.get_queryset(), EvaluationSerializer)


class VersionEvaluationListView(View):
    permissions = {"GET": "model.view", "POST": "model.manage"}
    of_objects = True
    serializer_class = EvaluationSerializer
    filters = EvaluationFilters
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return queries.evaluations_of(self.acting, self.kwargs["release_id"])

    @extend_schema(operation_id="versions_evaluations", responses=EvaluationSerializer(many=True))
    def get(self, request: Request, release_id: uuid.UUID) -> Response:
        """Evaluations of one version, the newest first."""
        return self.listing(self.get_queryset(), EvaluationSerializer)

    @extend_schema(
        operation_id="versions_evaluate", request=EvaluationStartSerializer, responses={201: EvaluationSerializer}
    )
    def post(self, request: Request, release_id: uuid.UUID) -> Response:
        """Have a version answer a suite, on nodes that have it, at idle priority."""
        given = EvaluationStartSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = start_evaluation(acting=self.acting, release_id=release_id, **given.validated_data)
        return Response(EvaluationSerializer(made).data, status=201)


class EvaluationView(View):
    permissions = {"GET": "model.view"}
    of_objects = True
    serializer_class = EvaluationSerializer

    @extend_schema(operation_id="evaluations_retrieve", responses=EvaluationSerializer)
    def get(self, request: Request, evaluation_id: uuid.UUID) -> Response:
        """One evaluation, with how far it is."""
        return Response(EvaluationSerializer(queries.get_evaluation(self.acting, evaluation_id)).data)


class EvaluationCancelView(View):
    permissions = {"POST": "model.manage"}
    of_objects = True
    serializer_class = EvaluationSerializer
    creates = True

    @extend_schema(operation_id="evaluations_cancel", request=None, responses=EvaluationSerializer)
    def post(self, request: Request, evaluation_id: uuid.UUID) -> Response:
        """End one within a second; its results so far stay. Done again, it changes nothing."""
        cancelled = cancel_evaluation(acting=self.acting, evaluation_id=evaluation_id)
        return Response(EvaluationSerializer(cancelled).data)


class InOrder(Pages):
    """The cases in the order of the suite."""

    ordering = "number"


class EvaluationResultListView(View):
    permissions = {"GET": "model.view"}
    of_objects = True
    serializer_class = EvaluationResultSerializer
    pagination_class = InOrder
    filters = EvaluationResultFilters

    def get_queryset(self) -> QuerySet[Any]:
        return queries.results_of(self.acting, self.kwargs["evaluation_id"])

    @extend_schema(operation_id="evaluations_results", responses=EvaluationResultSerializer(many=True))
    def get(self, request: Request, evaluation_id: uuid.UUID) -> Response:
        """What came of each case so far: the answer, its checks, and the speed that was measured."""
        return self.listing(self.get_queryset(), EvaluationResultSerializer)


class EvaluationComparisonView(View):
    permissions = {"GET": "model.view"}
    of_objects = True
    serializer_class = ComparedSuiteSerializer
    pagination_class = None

    @extend_schema(
        operation_id="models_evaluations_compare",
        parameters=[ComparisonFilters],
        responses=ComparedSuiteSerializer(many=True),
    )
    def get(self, request: Request, channel_id: uuid.UUID) -> Response:
        """What two versions of the model reached in each suite."""
        given = ComparisonFilters(data=request.query_params)
        given.is_valid(raise_exception=True)
        found = queries.compared(self.acting, channel_id, **given.validated_data)
        return Response(ComparedSuiteSerializer(found, many=True).data)
