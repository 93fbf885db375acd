"""Django's rows of the permissions that can be granted on a model."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("models_registry", "0008_releases"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="model",
            options={
                "default_permissions": (),
                "permissions": [
                    ("model.view", "See the model"),
                    ("model.manage", "Manage the model"),
                    ("inference.use", "Ask the model"),
                ],
            },
        ),
    ]
