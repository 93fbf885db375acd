"""Sessions have rows that their users see, keys may be tokens of one, and a rotated key has the text before for a while."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import ollamamax.kernel.ids


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0014_key_names"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="of_session",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="apikey",
            name="previous_hash",
            field=models.CharField(blank=True, default="", max_length=64),
        ),
        migrations.AddField(
            model_name="apikey",
            name="previous_identifier",
            field=models.CharField(blank=True, default="", max_length=16),
        ),
        migrations.AddField(
            model_name="apikey",
            name="previous_until",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="rotated_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name="UserSession",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("session_key", models.CharField(max_length=40, unique=True)),
                ("address", models.GenericIPAddressField(null=True)),
                ("agent", models.CharField(blank=True, default="", max_length=300)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("seen_at", models.DateTimeField(auto_now_add=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="apikey",
            name="session",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="identity.usersession"
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.UniqueConstraint(
                condition=models.Q(("previous_identifier", ""), _negated=True),
                fields=("previous_identifier",),
                name="identity_key_previous_identifier_unique",
                violation_error_message="There is a key with this identifier already.",
            ),
        ),
    ]
