"""Keys that sign ID tokens by RS256, too."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("identity", "0029_tenant_deletion")]

    operations = [
        migrations.AddField(
            model_name="signingkey",
            name="algorithm",
            field=models.CharField(
                choices=[("RS256", "Rs256"), ("ES256", "Es256")], db_default="ES256", default="ES256", max_length=5
            ),
        ),
    ]
