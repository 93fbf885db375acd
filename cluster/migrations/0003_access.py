"""A list of tenants that a node serves, in place of one word for all: nodes that were shared serve everybody, as before."""

import django.contrib.postgres.fields
from django.db import migrations, models

SHARED = """
UPDATE cluster_node SET access = ARRAY['*']::varchar(32)[] WHERE shared;
SET CONSTRAINTS ALL IMMEDIATE;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("cluster", "0002_sharing_and_placement"),
    ]

    operations = [
        migrations.AddField(
            model_name="node",
            name="access",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=32), blank=True, default=list, size=None
            ),
        ),
        migrations.RunSQL(SHARED),
        migrations.RemoveField(model_name="node", name="shared"),
    ]
