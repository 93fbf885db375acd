"""Who leads the control loops that write Postgres."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("bus", "0001_unpublished")]
    operations = [
        migrations.CreateModel(
            name="LoopLease",
            fields=[
                ("name", models.CharField(max_length=63, primary_key=True, serialize=False)),
                ("holder", models.CharField(default="", max_length=32)),
                ("fence", models.BigIntegerField(default=0)),
                ("until", models.DateTimeField(null=True)),
            ],
        ),
    ]
