"""Chaos experiments of the caller's tenant, and the reports of their runs."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.actions.experiment import (
    create_experiment,
    delete_experiment,
    schedule_experiment,
    start_run,
    stop_run,
)
from cluster.api.experiment_run import VERDICTS, ExperimentRunSerializer
from cluster.experiments.terms import (
    LEAST_HOURS,
    LEAST_SECONDS,
    MOST_HOURS,
    MOST_NODES,
    MOST_REPEATS,
    AbortBounds,
    ExperimentTerms,
    Hypothesis,
)
from cluster.models import Experiment, ExperimentRun
from cluster.queries import experiment as queries
from ollamamax.contract.experiment import LONGEST_FAULT
from ollamamax.identity.api.base import View
from ollamamax.identity.api.fields import Number
from ollamamax.identity.api.filters import CreatedFilters
from ollamamax.identity.api.serializers import ChangeSerializer


class HypothesisSerializer(serializers.Serializer[Any]):
    """What is to hold while nodes suffer the fault; null: not looked at. At least one is given."""

    failed_share = Number(required=False, allow_null=True, min_value=0, max_value=1, help_text="of requests, at most")
    first_token_p95_ms = Number(required=False, allow_null=True, min_value=0, max_value=1e7, help_text="at most")
    recovery_seconds = Number(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=1e7,
        help_text="from a kill, or from the end of another fault, until the node is well, at most",
    )


class AbortSerializer(serializers.Serializer[Any]):
    """The run ends at once when more than this share of a phase's requests failed, of at least so many."""

    failed_share = Number(required=False, min_value=0, max_value=1, default=AbortBounds().failed_share)
    requests = serializers.IntegerField(required=False, min_value=1, max_value=100_000, default=AbortBounds().requests)


def _hours(**given: Any) -> serializers.IntegerField:
    return serializers.IntegerField(
        min_value=LEAST_HOURS,
        max_value=MOST_HOURS,
        allow_null=True,
        help_text="so many hours after it was begun it is run again; null: only when somebody asks",
        **given,
    )


class ExperimentCreateSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    fault = serializers.ChoiceField(Experiment.Fault.choices)
    nodes = serializers.ListField(
        child=serializers.UUIDField(),
        min_length=1,
        max_length=MOST_NODES,
        help_text="own nodes whose hosts allow the fault (`ollamamax-node run --allow-fault`)",
    )
    seconds = Number(
        required=False,
        default=ExperimentTerms("engine_freeze", ()).seconds,
        min_value=LEAST_SECONDS,
        max_value=LONGEST_FAULT,
        help_text="of each phase",
    )
    repeats = serializers.IntegerField(
        required=False,
        default=3,
        min_value=1,
        max_value=MOST_REPEATS,
        help_text="pairs of phases with and without the fault",
    )
    at_once = serializers.IntegerField(
        required=False,
        default=1,
        min_value=1,
        max_value=MOST_NODES,
        help_text="blast radius: the most nodes that suffer it at the same time",
    )
    milliseconds = Number(
        required=False,
        default=0,
        min_value=0,
        max_value=60_000,
        help_text="by which each part of an answer is later, for `slow_answers`",
    )
    control = serializers.ChoiceField(
        Experiment.Control.choices,
        required=False,
        default="phases",
        help_text="`phases`: all requests in phases without the fault; `nodes`: requests that other nodes ran in the same phases",
    )
    control_nodes = serializers.ListField(
        child=serializers.UUIDField(), required=False, default=list, max_length=MOST_NODES
    )
    hypothesis = HypothesisSerializer()
    abort = AbortSerializer(required=False, default=lambda: msgspec.to_builtins(AbortBounds()))
    every_hours = _hours(required=False, default=None)


class ExperimentChangeSerializer(ChangeSerializer):
    every_hours = _hours(required=False)


class NodeId(serializers.UUIDField):
    """Kept as 32 hexadecimal digits, told as every other id."""

    def to_representation(self, value: Any) -> str:
        return str(uuid.UUID(value))


class ExperimentSerializer(serializers.ModelSerializer[Experiment]):
    nodes = serializers.ListField(child=NodeId())
    control_nodes = serializers.ListField(child=NodeId())
    hypothesis = HypothesisSerializer()
    abort = AbortSerializer()
    last_state = serializers.SerializerMethodField(help_text="of its last run; null where it never ran")
    last_verdict = serializers.SerializerMethodField(help_text="whether the hypothesis held in the last run")
    last_at = serializers.SerializerMethodField()

    class Meta:
        model = Experiment
        fields = [
            *(
                "id",
                "name",
                "fault",
                "nodes",
                "seconds",
                "repeats",
                "at_once",
                "milliseconds",
                "control",
                "control_nodes",
            ),
            *("hypothesis", "abort", "every_hours", "next_at", "last_state", "last_verdict", "last_at"),
            *("created_by_name", "created_at", "changed_at"),
        ]
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(ExperimentRun.State.choices, allow_null=True))
    def get_last_state(self, experiment: Experiment) -> str | None:
        return getattr(experiment, "last_state", None)

    @extend_schema_field(serializers.ChoiceField(VERDICTS, allow_null=True))
    def get_last_verdict(self, experiment: Experiment) -> str | None:
        return getattr(experiment, "last_verdict", None)

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_last_at(self, experiment: Experiment) -> Any:
        return getattr(experiment, "last_at", None)


class ExperimentFilters(CreatedFilters):
    name = serializers.CharField(required=False, max_length=100, source="name__icontains", help_text="A part of it.")
    fault = serializers.ChoiceField(Experiment.Fault.choices, required=False)


class ExperimentListView(View):
    permissions = {"GET": "node.view", "POST": "experiment.manage"}
    serializer_class = ExperimentSerializer
    filters = ExperimentFilters
    orderings = {"created_at": "created_at", "name": "name"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return queries.experiments()

    @extend_schema(operation_id="experiments_list", responses=ExperimentSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's chaos experiments, the newest first."""
        return self.listing(self.get_queryset(), ExperimentSerializer)

    @extend_schema(
        operation_id="experiments_create", request=ExperimentCreateSerializer, responses={201: ExperimentSerializer}
    )
    def post(self, request: Request) -> Response:
        """Describe an experiment. Nothing breaks before it is run."""
        given = ExperimentCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        asked = dict(given.validated_data)
        name, every_hours = asked.pop("name"), asked.pop("every_hours")
        terms = ExperimentTerms(
            nodes=tuple(node.hex for node in asked.pop("nodes")),
            control_nodes=tuple(node.hex for node in asked.pop("control_nodes")),
            hypothesis=Hypothesis(**asked.pop("hypothesis")),
            abort=AbortBounds(**asked.pop("abort")),
            **asked,
        )
        made = create_experiment(acting=self.acting, name=name, terms=terms, every_hours=every_hours)
        return Response(ExperimentSerializer(made).data, status=201)


class ExperimentView(View):
    permissions = {"GET": "node.view", "PATCH": "experiment.manage", "DELETE": "experiment.manage"}
    serializer_class = ExperimentSerializer
    etagged = True
    volatile = frozenset({"next_at", "last_state", "last_verdict", "last_at", "changed_at"})

    @extend_schema(operation_id="experiments_retrieve", responses=ExperimentSerializer)
    def get(self, request: Request, experiment_id: uuid.UUID) -> Response:
        """One experiment."""
        return Response(ExperimentSerializer(queries.get_experiment(experiment_id)).data)

    @extend_schema(
        operation_id="experiments_update", request=ExperimentChangeSerializer, responses=ExperimentSerializer
    )
    def patch(self, request: Request, experiment_id: uuid.UUID) -> Response:
        """Have it run again and again, or only when somebody asks."""
        given = ExperimentChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        schedule_experiment(acting=self.acting, experiment_id=experiment_id, **given.validated_data)
        return Response(ExperimentSerializer(queries.get_experiment(experiment_id)).data)

    @extend_schema(operation_id="experiments_destroy", responses={204: None})
    def delete(self, request: Request, experiment_id: uuid.UUID) -> Response:
        """Delete it with the reports of its runs. One that runs is to be stopped first."""
        delete_experiment(acting=self.acting, experiment_id=experiment_id)
        return Response(status=204)


class ExperimentRunListView(View):
    permissions = {"GET": "node.view", "POST": "experiment.manage"}
    serializer_class = ExperimentRunSerializer
    orderings = {"began_at": "began_at"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return queries.runs_of(self.kwargs["experiment_id"])

    @extend_schema(operation_id="experiments_runs", responses=ExperimentRunSerializer(many=True))
    def get(self, request: Request, experiment_id: uuid.UUID) -> Response:
        """Its runs with their reports, the newest first."""
        return self.listing(self.get_queryset(), ExperimentRunSerializer)

    @extend_schema(operation_id="experiments_run", request=None, responses={201: ExperimentRunSerializer})
    def post(self, request: Request, experiment_id: uuid.UUID) -> Response:
        """Run it now. Refused while another one runs, where a host does not allow the fault, and where a model would have no other node."""
        run = start_run(acting=self.acting, experiment_id=experiment_id)
        return Response(ExperimentRunSerializer(run).data, status=201)


class ExperimentStopView(View):
    permissions = {"POST": "experiment.manage"}
    serializer_class = ExperimentRunSerializer
    creates = True

    @extend_schema(operation_id="experiments_stop", request=None, responses=ExperimentRunSerializer)
    def post(self, request: Request, experiment_id: uuid.UUID) -> Response:
        """Stop its run: faults end within about a second, but for an agent that is frozen, which goes on when its time is over."""
        return Response(ExperimentRunSerializer(stop_run(acting=self.acting, experiment_id=experiment_id)).data)
