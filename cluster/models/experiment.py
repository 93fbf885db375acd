"""Experiment: a fault that nodes are to suffer, and what is expected then; ExperimentRun: one time that it was done, with what was measured."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Experiment(models.Model):
    """What it asks for is `cluster.experiments.terms.ExperimentTerms`; ``nodes`` and ``control_nodes`` are ids as 32 hexadecimal digits."""

    class Fault(models.TextChoices):
        ENGINE_FREEZE = "engine_freeze", "engine frozen"
        ENGINE_KILL = "engine_kill", "engine killed"
        AGENT_FREEZE = "agent_freeze", "agent frozen"
        AGENT_KILL = "agent_kill", "agent killed"
        SLOW_ANSWERS = "slow_answers", "slow answers"

    class Control(models.TextChoices):
        PHASES = "phases"
        NODES = "nodes"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=100)
    fault = models.CharField(max_length=16, choices=Fault)
    nodes = ArrayField(models.CharField(max_length=32))
    seconds = models.FloatField()
    repeats = models.PositiveSmallIntegerField()
    at_once = models.PositiveSmallIntegerField()
    milliseconds = models.FloatField(default=0.0)
    control = models.CharField(max_length=16, choices=Control)
    control_nodes = ArrayField(models.CharField(max_length=32), default=list, blank=True)
    hypothesis = models.JSONField()
    abort = models.JSONField()
    every_hours = models.PositiveIntegerField(null=True)
    """It is run again so many hours after the last time; null: only when somebody asks."""
    next_at = models.DateTimeField(null=True)
    created_by_name = models.CharField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(auto_now=True)

    objects: models.Manager[Experiment] = tenant_manager()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="cluster_experiment_name_unique",
                violation_error_message="There is an experiment of this name already.",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    fault__in=["engine_freeze", "engine_kill", "agent_freeze", "agent_kill", "slow_answers"]
                ),
                name="cluster_experiment_fault_known",
                violation_error_message="Not a fault that a node can suffer.",
            ),
            models.CheckConstraint(
                condition=models.Q(control__in=["phases", "nodes"]),
                name="cluster_experiment_control_known",
                violation_error_message="A control group is phases or nodes.",
            ),
        ]
        indexes = [models.Index(fields=["next_at"], name="cluster_experiment_due")]

    def __str__(self) -> str:
        return self.name


class ExperimentRun(models.Model):
    """``plan`` is `cluster.experiments.plan.RunPlan`, ``report`` `cluster.experiments.figures.RunReport`, null while it runs. ``terms`` are those it began with."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        ABORTED = "aborted"
        STOPPED = "stopped"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="runs")
    state = models.CharField(max_length=16, choices=State, default=State.RUNNING)
    why = models.CharField(max_length=500, default="", blank=True)
    terms = models.JSONField()
    plan = models.JSONField()
    report = models.JSONField(null=True)
    by_name = models.CharField(max_length=254, default="", blank=True)
    """Who began it; empty for the schedule."""
    stopped_by = models.CharField(max_length=254, default="", blank=True)
    began_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    objects: models.Manager[ExperimentRun] = tenant_manager()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["tenant"],
                condition=models.Q(state="running"),
                name="cluster_experiment_run_once",
                violation_error_message="An experiment of this tenant runs already.",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=["running", "done", "aborted", "stopped"]),
                name="cluster_experiment_run_state_known",
                violation_error_message="Not a state of a run.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.experiment_id}: {self.state}"
