"""What the memory of a version follows from, and what engines used of it."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("models_registry", "0017_bundles"),
    ]

    operations = [
        migrations.AddField(
            model_name="replica",
            name="memory",
            field=models.PositiveBigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="replica",
            name="memory_context",
            field=models.PositiveBigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="replica",
            name="memory_slots",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="replica",
            name="memory_engine",
            field=models.CharField(blank=True, db_default="", default="", max_length=16),
        ),
        migrations.AddField(
            model_name="replica",
            name="memory_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name="BlobShape",
            fields=[
                (
                    "blob",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="shape",
                        serialize=False,
                        to="models_registry.blob",
                    ),
                ),
                ("shape", models.JSONField()),
            ],
        ),
    ]
