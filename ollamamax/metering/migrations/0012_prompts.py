"""Prompts that tenants want kept, and of each request whether its tenant wanted that."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0011_charges"), ("identity", "0031_prompts")]

    operations = [
        migrations.AddField(
            model_name="usagerecord",
            name="prompt_kept",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.CreateModel(
            name="KeptPrompt",
            fields=[
                ("request", models.UUIDField(primary_key=True, serialize=False)),
                ("key", models.UUIDField()),
                ("made_by", models.UUIDField(null=True)),
                ("user", models.CharField(default="", max_length=256)),
                ("received_at", models.DateTimeField()),
                ("sealed", models.BinaryField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="identity.tenant",
                    ),
                ),
            ],
            options={"indexes": [models.Index(fields=["tenant", "received_at"], name="metering_prompt_oldest")]},
        ),
    ]
