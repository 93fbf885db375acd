"""The state of each node, and since when it is in it. The loop that follows nodes brings those that are there already in line."""

import django.utils.timezone
from django.db import migrations, models
from django.db.models.functions import Now

STATES = ["joining", "ready", "cordoned", "draining", "unreachable", "lost"]


class Migration(migrations.Migration):
    dependencies = [("cluster", "0006_drain")]

    operations = [
        migrations.AddField(
            "node",
            "lifecycle",
            models.CharField(
                choices=[(each, each.capitalize()) for each in STATES],
                db_default="joining",
                default="joining",
                max_length=16,
            ),
        ),
        migrations.AddField(
            "node", "lifecycle_since", models.DateTimeField(db_default=Now(), default=django.utils.timezone.now)
        ),
        migrations.AddConstraint(
            "node",
            models.CheckConstraint(
                condition=models.Q(lifecycle__in=STATES),
                name="cluster_node_lifecycle_known",
                violation_error_message="A node is joining, ready, cordoned, draining, unreachable or lost.",
            ),
        ),
    ]
