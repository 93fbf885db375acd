"""When a drain began, when it ends, and how many requests ran then."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("cluster", "0005_pools")]

    operations = [
        migrations.AddField("node", "drain_since", models.DateTimeField(null=True)),
        migrations.AddField("node", "drain_until", models.DateTimeField(null=True)),
        migrations.AddField("node", "drain_running", models.PositiveIntegerField(null=True)),
    ]
