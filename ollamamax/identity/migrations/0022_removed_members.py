"""Who was removed by hand is kept, and whether a membership is suspended by nobody here but by who keeps it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import ollamamax.kernel.ids


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0021_no_grants_of_our_own"),
    ]

    operations = [
        migrations.CreateModel(
            name="RemovedMember",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.AddField(
            model_name="membership",
            name="withheld",
            field=models.BooleanField(default=False),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.CheckConstraint(
                condition=models.Q(("withheld", False), ("state", "suspended"), _connector="OR"),
                name="identity_membership_withheld_suspended",
                violation_error_message="A membership that is withheld is suspended.",
            ),
        ),
        migrations.AddField(
            model_name="removedmember",
            name="tenant",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
            ),
        ),
        migrations.AddField(
            model_name="removedmember",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddConstraint(
            model_name="removedmember",
            constraint=models.UniqueConstraint(
                fields=("tenant", "user"),
                name="identity_removed_member_unique",
                violation_error_message="This user was removed already.",
            ),
        ),
    ]
