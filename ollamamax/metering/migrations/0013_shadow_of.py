"""Which requests run others again on another version, without anybody being shown the answer."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0012_prompts")]

    operations = [
        migrations.AddField(model_name="usagerecord", name="shadow_of", field=models.UUIDField(null=True)),
        migrations.AddField(model_name="usagerecord", name="same_answer", field=models.BooleanField(null=True)),
    ]
