"""With which HTTP status a request ended, and what its client wanted noted with it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0005_usage_hours"),
    ]

    operations = [
        migrations.AddField(
            model_name="usagerecord",
            name="status",
            field=models.PositiveSmallIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="usagerecord",
            name="metadata",
            field=models.JSONField(null=True),
        ),
    ]
