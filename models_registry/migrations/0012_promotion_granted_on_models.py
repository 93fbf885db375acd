"""Django's row of the permission to promote, which can be granted on a model."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("models_registry", "0011_rollouts"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="model",
            options={
                "default_permissions": (),
                "permissions": [
                    ("model.view", "See the model"),
                    ("model.manage", "Manage the model"),
                    ("model.promote", "Promote and approve versions of the model"),
                    ("inference.use", "Ask the model"),
                ],
            },
        ),
    ]
