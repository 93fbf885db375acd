"""How many tokens of prompts engines had kept from before, and what these cost."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0009_budget_told")]

    operations = [
        migrations.AddField(
            model_name="usagerecord",
            name="cached_tokens",
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="usagesum",
            name="cached_tokens",
            field=models.DecimalField(decimal_places=0, max_digits=38, default=0, db_default=0),
        ),
        migrations.AddField(
            model_name="modelprice",
            name="cached_million",
            field=models.DecimalField(decimal_places=9, max_digits=20, null=True),
        ),
        migrations.AddConstraint(
            model_name="modelprice",
            constraint=models.CheckConstraint(
                condition=models.Q(cached_million=None)
                | models.Q(cached_million__gte=0, cached_million__lte=models.F("prompt_million")),
                name="metering_price_cached_at_most_prompt",
                violation_error_message="A cached token of a prompt costs from nothing to what any other one costs.",
            ),
        ),
    ]
