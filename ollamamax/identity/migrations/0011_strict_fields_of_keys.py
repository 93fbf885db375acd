"""A key says whether fields that nobody knows are refused, or leaves it to its tenant."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("identity", "0010_idempotency")]

    operations = [
        migrations.AddField(model_name="apikey", name="strict_fields", field=models.BooleanField(null=True)),
    ]
