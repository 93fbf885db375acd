"""Chaos experiments and their runs."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import ollamamax.kernel.ids


class Migration(migrations.Migration):
    dependencies = [
        ("cluster", "0010_incident_recovery"),
        ("identity", "0032_experiment_manage"),
    ]

    operations = [
        migrations.CreateModel(
            name="Experiment",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                (
                    "fault",
                    models.CharField(
                        choices=[
                            ("engine_freeze", "engine frozen"),
                            ("engine_kill", "engine killed"),
                            ("agent_freeze", "agent frozen"),
                            ("agent_kill", "agent killed"),
                            ("slow_answers", "slow answers"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "nodes",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=32), size=None),
                ),
                ("seconds", models.FloatField()),
                ("repeats", models.PositiveSmallIntegerField()),
                ("at_once", models.PositiveSmallIntegerField()),
                ("milliseconds", models.FloatField(default=0.0)),
                ("control", models.CharField(choices=[("phases", "Phases"), ("nodes", "Nodes")], max_length=16)),
                (
                    "control_nodes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32), blank=True, default=list, size=None
                    ),
                ),
                ("hypothesis", models.JSONField()),
                ("abort", models.JSONField()),
                ("every_hours", models.PositiveIntegerField(null=True)),
                ("next_at", models.DateTimeField(null=True)),
                ("created_by_name", models.CharField(max_length=254)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("changed_at", models.DateTimeField(auto_now=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="ExperimentRun",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", "Running"),
                            ("done", "Done"),
                            ("aborted", "Aborted"),
                            ("stopped", "Stopped"),
                        ],
                        default="running",
                        max_length=16,
                    ),
                ),
                ("why", models.CharField(blank=True, default="", max_length=500)),
                ("terms", models.JSONField()),
                ("plan", models.JSONField()),
                ("report", models.JSONField(null=True)),
                ("by_name", models.CharField(blank=True, default="", max_length=254)),
                ("stopped_by", models.CharField(blank=True, default="", max_length=254)),
                ("began_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="runs", to="cluster.experiment"
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.AddIndex(
            model_name="experiment",
            index=models.Index(fields=["next_at"], name="cluster_experiment_due"),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.UniqueConstraint(
                fields=("tenant", "name"),
                name="cluster_experiment_name_unique",
                violation_error_message="There is an experiment of this name already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("fault__in", ["engine_freeze", "engine_kill", "agent_freeze", "agent_kill", "slow_answers"])
                ),
                name="cluster_experiment_fault_known",
                violation_error_message="Not a fault that a node can suffer.",
            ),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(("control__in", ["phases", "nodes"])),
                name="cluster_experiment_control_known",
                violation_error_message="A control group is phases or nodes.",
            ),
        ),
        migrations.AddConstraint(
            model_name="experimentrun",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "running")),
                fields=("tenant",),
                name="cluster_experiment_run_once",
                violation_error_message="An experiment of this tenant runs already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="experimentrun",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["running", "done", "aborted", "stopped"])),
                name="cluster_experiment_run_state_known",
                violation_error_message="Not a state of a run.",
            ),
        ),
    ]
