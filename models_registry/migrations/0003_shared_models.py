"""Models that every tenant may use."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("models_registry", "0002_profile_alias"),
    ]

    operations = [
        migrations.AddField(
            model_name="model",
            name="shared",
            field=models.BooleanField(default=False),
        ),
    ]
