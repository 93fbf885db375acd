"""Workloads that tenants trust."""

import django.db.models.deletion
from django.db import migrations, models

import ollamamax.kernel.ids


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("identity", "0026_signing_keys"),
    ]

    operations = [
        migrations.CreateModel(
            name="Workload",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("issuer", models.CharField(max_length=1000)),
                ("audience", models.CharField(max_length=255)),
                ("rules", models.JSONField()),
                ("created_by_name", models.CharField(default="", max_length=254)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("used_at", models.DateTimeField(null=True)),
                (
                    "key",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="identity.apikey"
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
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "name"),
                        name="oauth_workload_name_unique",
                        violation_error_message="There is a workload of this name already.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("name", ""), _negated=True),
                            models.Q(("issuer", ""), _negated=True),
                            models.Q(("audience", ""), _negated=True),
                        ),
                        name="oauth_workload_named",
                        violation_error_message="A workload has a name, an issuer and an audience.",
                    ),
                ],
            },
        ),
    ]
