"""Predictions: whether one came true, and what is done by detector."""

import django.db.models.deletion
from django.db import migrations, models

import ollamamax.kernel.ids


class Migration(migrations.Migration):
    dependencies = [
        ("cluster", "0011_experiments"),
        ("identity", "0024_second_factors"),
    ]

    operations = [
        migrations.AddField(model_name="incident", name="came_true", field=models.BooleanField(null=True)),
        migrations.CreateModel(
            name="PredictionPolicy",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("detector", models.CharField(max_length=64)),
                (
                    "act",
                    models.CharField(
                        choices=[("propose", "Propose"), ("cordon", "Cordon"), ("drain", "Drain")], max_length=16
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
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "detector"),
                        name="cluster_prediction_policy_once",
                        violation_error_message="There is a policy for this detector already.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("act__in", ["propose", "cordon", "drain"])),
                        name="cluster_prediction_policy_known",
                        violation_error_message="A prediction is proposed, or its node is cordoned or drained.",
                    ),
                ],
            },
        ),
    ]
