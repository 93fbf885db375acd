"""Of which window it was told last that a budget is nearly or wholly spent: each is told once."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0008_budgets")]

    operations = [
        migrations.AddField(
            model_name="budget",
            name="told",
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
        ),
    ]
