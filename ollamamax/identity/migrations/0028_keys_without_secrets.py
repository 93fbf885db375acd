"""Keys of whom nobody was shown the text."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("identity", "0027_audit_manage")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="has_secret",
            field=models.BooleanField(db_default=True, default=True),
        ),
    ]
