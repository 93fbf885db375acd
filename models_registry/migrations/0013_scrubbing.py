"""When a blob's bytes were last found whole, and since when they are not."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("models_registry", "0012_promotion_granted_on_models"),
    ]

    operations = [
        migrations.AddField(
            model_name="blob",
            name="damaged_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="blob",
            name="verified_at",
            field=models.DateTimeField(blank=True, db_index=True, null=True),
        ),
    ]
