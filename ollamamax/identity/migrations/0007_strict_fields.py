from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("identity", "0006_may_join_nodes")]

    operations = [
        migrations.AddField(model_name="tenant", name="strict_fields", field=models.BooleanField(default=False)),
    ]
