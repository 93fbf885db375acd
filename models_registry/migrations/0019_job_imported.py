"""What an import brought."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("models_registry", "0018_memory"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="imported",
            field=models.JSONField(db_default=[], default=list),
        ),
    ]
