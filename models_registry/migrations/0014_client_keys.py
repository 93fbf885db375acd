"""The public keys of Ollamas that speak the registry protocol as API keys."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import ollamamax.kernel.ids


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0022_removed_members"),
        ("models_registry", "0013_scrubbing"),
    ]

    operations = [
        migrations.CreateModel(
            name="ClientKey",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("public_key", models.CharField(max_length=100)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "key",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="client_keys", to="identity.apikey"
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
                        fields=("public_key",),
                        name="registry_client_key_unique",
                        violation_error_message="This public key is registered already.",
                    )
                ],
            },
        ),
    ]
