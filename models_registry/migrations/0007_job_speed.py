"""How fast the bytes of a job come."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("models_registry", "0006_replica_desired")]

    operations = [
        migrations.AddField("job", "bytes_per_second", models.FloatField(blank=True, null=True)),
    ]
