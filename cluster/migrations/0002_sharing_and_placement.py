"""What routing knows of nodes: whether they are shared, where they are, their labels, what they cost."""

import django.db.models.lookups
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("cluster", "0001_initial"),
        ("identity", "0003_one_tenant_is_the_operator"),
    ]

    operations = [
        migrations.AddField(
            model_name="node",
            name="hourly_cost",
            field=models.FloatField(null=True),
        ),
        migrations.AddField(
            model_name="node",
            name="labels",
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name="node",
            name="region",
            field=models.CharField(blank=True, default="", max_length=63),
        ),
        migrations.AddField(
            model_name="node",
            name="shared",
            field=models.BooleanField(default=False),
        ),
        migrations.AddConstraint(
            model_name="node",
            constraint=models.CheckConstraint(
                condition=models.Q(("region__regex", "^[a-z0-9-]{0,63}$")),
                name="cluster_node_region_form",
                violation_error_message="A region has up to 63 small letters, digits and hyphens.",
            ),
        ),
        migrations.AddConstraint(
            model_name="node",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    django.db.models.lookups.Exact(
                        models.Func(models.F("labels"), function="jsonb_typeof", output_field=models.CharField()),
                        models.Value("object"),
                    )
                ),
                name="cluster_node_labels_object",
                violation_error_message="Labels are an object of strings.",
            ),
        ),
        migrations.AddConstraint(
            model_name="node",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("hourly_cost__isnull", True),
                    models.Q(("hourly_cost__gte", 0.0), ("hourly_cost__lte", 1000000.0)),
                    _connector="OR",
                ),
                name="cluster_node_hourly_cost_range",
                violation_error_message="What a node costs an hour is between 0 and a million.",
            ),
        ),
    ]
