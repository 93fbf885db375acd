"""Incidents: what broke, from its beginning to its end."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import ollamamax.kernel.ids


class Migration(migrations.Migration):
    dependencies = [
        ("cluster", "0007_lifecycle"),
        ("identity", "0024_second_factors"),
    ]

    operations = [
        migrations.CreateModel(
            name="Incident",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("region", models.CharField(blank=True, default="", max_length=63)),
                ("key", models.CharField(max_length=64)),
                ("kind", models.CharField(max_length=64)),
                (
                    "about",
                    models.CharField(
                        choices=[("node", "Node"), ("model", "Model"), ("fleet", "Fleet"), ("system", "System")],
                        max_length=16,
                    ),
                ),
                ("subject_id", models.CharField(blank=True, default="", max_length=32)),
                ("subject_name", models.CharField(blank=True, default="", max_length=400)),
                (
                    "severity",
                    models.CharField(choices=[("critical", "Critical"), ("warning", "Warning")], max_length=16),
                ),
                ("text", models.CharField(max_length=500)),
                ("evidence", models.JSONField(default=list)),
                ("timeline", models.JSONField(default=list)),
                ("opened_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("changed_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("closed_at", models.DateTimeField(null=True)),
                ("reopened", models.PositiveIntegerField(default=0)),
                ("acknowledged_at", models.DateTimeField(null=True)),
                ("acknowledged_by", models.CharField(blank=True, default="", max_length=254)),
                ("silenced_until", models.DateTimeField(null=True)),
                ("requests_hit", models.PositiveIntegerField(null=True)),
                ("tenants_hit", models.PositiveIntegerField(null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["tenant", "-opened_at"], name="cluster_incident_newest"),
                    models.Index(fields=["closed_at"], name="cluster_incident_ended"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("closed_at__isnull", True)),
                        fields=("tenant", "key"),
                        name="cluster_incident_open_once",
                        violation_error_message="There is an open incident of this already.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("severity__in", ["critical", "warning"])),
                        name="cluster_incident_severity_known",
                        violation_error_message="An incident is critical or a warning.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("about__in", ["node", "model", "fleet", "system"])),
                        name="cluster_incident_about_known",
                        violation_error_message="An incident is about a node, a model, the fleet or the system.",
                    ),
                ],
            },
        ),
    ]
