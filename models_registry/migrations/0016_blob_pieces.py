"""The hashes of the pieces of blobs, by which nodes check what they have of each other."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("models_registry", "0015_replication"),
    ]

    operations = [
        migrations.CreateModel(
            name="BlobPieces",
            fields=[
                (
                    "blob",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="pieces",
                        serialize=False,
                        to="models_registry.blob",
                    ),
                ),
                ("piece", models.PositiveBigIntegerField()),
                ("hashes", models.BinaryField()),
            ],
        ),
    ]
