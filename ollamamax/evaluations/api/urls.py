"""Addresses of evaluations below `/api/v1/`."""

from __future__ import annotations

from django.urls import path

from ollamamax.evaluations.api.evaluation import (
    EvaluationCancelView,
    EvaluationComparisonView,
    EvaluationListView,
    EvaluationResultListView,
    EvaluationView,
    VersionEvaluationListView,
)
from ollamamax.evaluations.api.suite import RequirementListView, RequirementView, SuiteListView, SuiteView

urlpatterns = [
    path("evaluation-suites", SuiteListView.as_view(), name="evaluation-suites"),
    path("evaluation-suites/<uuid:suite_id>", SuiteView.as_view(), name="evaluation-suite"),
    path("evaluation-requirements", RequirementListView.as_view(), name="evaluation-requirements"),
    path("evaluation-requirements/<uuid:requirement_id>", RequirementView.as_view(), name="evaluation-requirement"),
    path("versions/<uuid:release_id>/evaluations", VersionEvaluationListView.as_view(), name="version-evaluations"),
    path("evaluations", EvaluationListView.as_view(), name="evaluations"),
    path("evaluations/<uuid:evaluation_id>", EvaluationView.as_view(), name="evaluation"),
    path("evaluations/<uuid:evaluation_id>/cancel", EvaluationCancelView.as_view(), name="evaluation-cancel"),
    path("evaluations/<uuid:evaluation_id>/results", EvaluationResultListView.as_view(), name="evaluation-results"),
    path(
        "models/<uuid:channel_id>/evaluations/comparison",
        EvaluationComparisonView.as_view(),
        name="model-evaluations-comparison",
    ),
]
