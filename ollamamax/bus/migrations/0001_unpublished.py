"""What was committed and not published yet."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            name="Unpublished",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("region", models.CharField(blank=True, max_length=63)),
                ("table", models.CharField(max_length=63)),
                ("field", models.TextField()),
                ("since", models.DateTimeField(db_default=Now())),
            ],
            options={"indexes": [models.Index(fields=["region", "id"], name="unpublished_region")]},
        ),
    ]
