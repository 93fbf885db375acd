"""Addresses of the cluster below `/api/v1/`."""

from __future__ import annotations

from django.urls import path

from cluster.api.experiment import (
    ExperimentListView,
    ExperimentRunListView,
    ExperimentStopView,
    ExperimentView,
)
from cluster.api.health import HealthView
from cluster.api.history import HistoryView
from cluster.api.incident import (
    IncidentAcknowledgeView,
    IncidentListView,
    IncidentRecoverView,
    IncidentSilenceView,
    IncidentView,
)
from cluster.api.join import JoinTokenListView, JoinTokenView, JoinView
from cluster.api.limits import KeyLimitsView, TenantLimitsView
from cluster.api.node import NodeListView, NodeView
from cluster.api.node_log import NodeLogView
from cluster.api.pool import PoolListView, PoolView
from cluster.api.prediction import PredictionsView
from cluster.api.queue import QueueView
from cluster.api.request import RequestCancelView, RequestListView, RequestView, RunningListView
from ollamamax.identity.api.bulk import bulk_of

urlpatterns = [
    path("experiments", ExperimentListView.as_view(), name="experiments"),
    path("experiments/<uuid:experiment_id>", ExperimentView.as_view(), name="experiment"),
    path("experiments/<uuid:experiment_id>/runs", ExperimentRunListView.as_view(), name="experiment-runs"),
    path("experiments/<uuid:experiment_id>/stop", ExperimentStopView.as_view(), name="experiment-stop"),
    path("history", HistoryView.as_view(), name="history"),
    path("health", HealthView.as_view(), name="health"),
    path("incidents", IncidentListView.as_view(), name="incidents"),
    path("incidents/<uuid:incident_id>", IncidentView.as_view(), name="incident"),
    path("incidents/<uuid:incident_id>/acknowledge", IncidentAcknowledgeView.as_view(), name="incident-acknowledge"),
    path("incidents/<uuid:incident_id>/silence", IncidentSilenceView.as_view(), name="incident-silence"),
    path("incidents/<uuid:incident_id>/recovery", IncidentRecoverView.as_view(), name="incident-recovery"),
    path("nodes", NodeListView.as_view(), name="nodes"),
    path("nodes/join", JoinView.as_view(), name="join"),
    path("nodes/tokens", JoinTokenListView.as_view(), name="join-tokens"),
    path("nodes/tokens/<uuid:token_id>", JoinTokenView.as_view(), name="join-token"),
    path("pools", PoolListView.as_view(), name="pools"),
    path("pools/bulk", bulk_of(PoolView, "pool_id", "pools").as_view(), name="pools-bulk"),
    path("pools/<uuid:pool_id>", PoolView.as_view(), name="pool"),
    path("limits", TenantLimitsView.as_view(), name="limits"),
    path("limits/keys", KeyLimitsView.as_view(), name="limits-keys"),
    path("predictions", PredictionsView.as_view(), name="predictions"),
    path("queue", QueueView.as_view(), name="queue"),
    path("requests", RequestListView.as_view(), name="requests"),
    path("requests/running", RunningListView.as_view(), name="requests-running"),
    path("requests/<str:request_id>/cancel", RequestCancelView.as_view(), name="request-cancel"),
    path("requests/<str:request_id>", RequestView.as_view(), name="request"),
    path("nodes/bulk", bulk_of(NodeView, "node_id", "nodes").as_view(), name="nodes-bulk"),
    path("nodes/<uuid:node_id>/log", NodeLogView.as_view(), name="node-log"),
    path("nodes/<uuid:node_id>", NodeView.as_view(), name="node"),
]
