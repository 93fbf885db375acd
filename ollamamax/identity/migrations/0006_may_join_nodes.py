"""Only the operator's tenant joins nodes, until the operator allows another to. Nodes that are there stay."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("identity", "0005_store_responses")]

    operations = [
        migrations.AddField(model_name="tenant", name="may_join_nodes", field=models.BooleanField(default=False))
    ]
