"""What is wanted of a replica, beside what its node reports; of those that are there the loop says it when it next looks at them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("models_registry", "0005_names_of_engines"),
    ]

    operations = [
        migrations.AddField(
            model_name="replica",
            name="desired",
            field=models.CharField(
                choices=[("held", "Held"), ("absent", "Absent"), ("any", "left to the engine that keeps it")],
                default="any",
                max_length=8,
            ),
        ),
        migrations.AddConstraint(
            model_name="replica",
            constraint=models.CheckConstraint(
                condition=models.Q(("desired__in", ["held", "absent", "any"])),
                name="registry_replica_desired_known",
                violation_error_message="Not a state that a replica is wanted in.",
            ),
        ),
    ]
