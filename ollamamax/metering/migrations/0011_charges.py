"""What was charged for each request by the price list, at which price, and what that sums up to; nothing for what was used before."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0010_cached_tokens")]

    operations = [
        migrations.AddField(
            model_name="usagerecord",
            name="charge",
            field=models.DecimalField(decimal_places=9, max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name="usagerecord",
            name="charge_currency",
            field=models.CharField(db_default="", default="", max_length=3),
        ),
        migrations.AddField(model_name="usagerecord", name="price", field=models.UUIDField(null=True)),
        migrations.AddField(model_name="usagerecord", name="slot_seconds", field=models.FloatField(null=True)),
        migrations.AddField(
            model_name="usagesum",
            name="charged",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="usagesum",
            name="charge",
            field=models.DecimalField(db_default=0, decimal_places=9, default=0, max_digits=38),
        ),
    ]
