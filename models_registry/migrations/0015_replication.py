"""Terms of replication, and what is known of each copy."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import ollamamax.kernel.ids


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0024_second_factors"),
        ("models_registry", "0014_client_keys"),
    ]

    operations = [
        migrations.AddField(
            model_name="replica",
            name="bytes_of_peers",
            field=models.PositiveBigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="replica",
            name="bytes_per_second",
            field=models.FloatField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="replica",
            name="in_use",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="replica",
            name="paused",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="replica",
            name="reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
        migrations.AddField(
            model_name="replica",
            name="used_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name="ReplicationPolicy",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("terms", models.JSONField(default=dict)),
                ("shortages", models.JSONField(default=dict)),
                ("changed_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("planned_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "model",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="replication_policy",
                        to="models_registry.model",
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
                        condition=models.Q(("model", None)),
                        fields=("tenant",),
                        name="registry_replication_policy_of_tenant",
                        violation_error_message="The tenant has a policy already.",
                    )
                ],
            },
        ),
    ]
