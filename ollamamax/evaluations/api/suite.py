"""Suites of the caller's tenant, and what promotion requires of them."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.evaluations.actions.requirement import end_requirement, require_suite
from ollamamax.evaluations.actions.suite import change_suite, create_suite, delete_suite
from ollamamax.evaluations.api.serializers import (
    RequirementCreateSerializer,
    RequirementFilters,
    RequirementSerializer,
    SuiteChangeSerializer,
    SuiteCreateSerializer,
    SuiteFilters,
    SuiteListedSerializer,
    SuiteSerializer,
)
from ollamamax.evaluations.queries.requirement import requirements
from ollamamax.evaluations.queries.suite import get_suite, suites
from ollamamax.identity.api.base import View


class SuiteListView(View):
    permissions = {"GET": "model.view", "POST": "model.manage"}
    serializer_class = SuiteListedSerializer
    filters = SuiteFilters
    orderings = {"created_at": "created_at", "name": "name"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return suites().defer("sealed_cases")

    @extend_schema(operation_id="evaluation_suites_list", responses=SuiteListedSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's evaluation suites, the newest first, without their cases."""
        return self.listing(self.get_queryset(), SuiteListedSerializer)

    @extend_schema(
        operation_id="evaluation_suites_create", request=SuiteCreateSerializer, responses={201: SuiteSerializer}
    )
    def post(self, request: Request) -> Response:
        """Make a suite of cases: prompts with checks."""
        given = SuiteCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = create_suite(acting=self.acting, **given.validated_data)
        return Response(SuiteSerializer(made).data, status=201)


class SuiteView(View):
    permissions = {"GET": "model.view", "PATCH": "model.manage", "DELETE": "model.manage"}
    serializer_class = SuiteSerializer
    etagged = True

    @extend_schema(operation_id="evaluation_suites_retrieve", responses=SuiteSerializer)
    def get(self, request: Request, suite_id: uuid.UUID) -> Response:
        """One suite, with its cases."""
        return Response(SuiteSerializer(get_suite(suite_id)).data)

    @extend_schema(operation_id="evaluation_suites_update", request=SuiteChangeSerializer, responses=SuiteSerializer)
    def patch(self, request: Request, suite_id: uuid.UUID) -> Response:
        """Change it; what is left out stays. The cases of one that promotion requires are changed with `member.manage`."""
        given = SuiteChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(
            SuiteSerializer(change_suite(acting=self.acting, suite_id=suite_id, **given.validated_data)).data
        )

    @extend_schema(operation_id="evaluation_suites_destroy", responses={204: None})
    def delete(self, request: Request, suite_id: uuid.UUID) -> Response:
        """Forget it; results stay with the versions. Refused while promotion requires it."""
        delete_suite(acting=self.acting, suite_id=suite_id)
        return Response(status=204)


class RequirementListView(View):
    permissions = {"GET": "model.view", "POST": "member.manage"}
    serializer_class = RequirementSerializer
    filters = RequirementFilters
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return requirements()

    @extend_schema(operation_id="evaluation_requirements_list", responses=RequirementSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Which scores promotion to production requires, the newest first."""
        return self.listing(self.get_queryset(), RequirementSerializer)

    @extend_schema(
        operation_id="evaluation_requirements_create",
        request=RequirementCreateSerializer,
        responses={201: RequirementSerializer},
    )
    def post(self, request: Request) -> Response:
        """Require of the versions of a model, or of all models, a score in a suite before they become production."""
        given = RequirementCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        values = dict(given.validated_data)
        made = require_suite(acting=self.acting, suite_id=values.pop("suite"), **values)
        return Response(RequirementSerializer(made).data, status=201)


class RequirementView(View):
    permissions = {"DELETE": "member.manage"}
    serializer_class = RequirementSerializer

    @extend_schema(operation_id="evaluation_requirements_destroy", responses={204: None})
    def delete(self, request: Request, requirement_id: uuid.UUID) -> Response:
        """Require it no more."""
        end_requirement(acting=self.acting, requirement_id=requirement_id)
        return Response(status=204)
