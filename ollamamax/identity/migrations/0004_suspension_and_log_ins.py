"""Tenants can be suspended; attempts to log in are counted here, in place of django-axes, whose tables go."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0003_one_tenant_is_the_operator"),
    ]

    operations = [
        migrations.RunSQL(
            "DROP TABLE IF EXISTS axes_accessattemptexpiration, axes_accessattempt, axes_accessfailurelog, axes_accesslog",
            migrations.RunSQL.noop,
        ),
        migrations.CreateModel(
            name="LogInCounter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=8)),
                ("subject", models.CharField(max_length=64)),
                ("level", models.FloatField(default=0.0)),
                ("at", models.DateTimeField()),
                ("trusted_until", models.DateTimeField(null=True)),
                ("untold", models.IntegerField(default=0)),
                ("told_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.AddField(
            model_name="tenant",
            name="suspended_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(("is_operator", False), ("suspended_at", None), _connector="OR"),
                name="identity_tenant_operator_not_suspended",
                violation_error_message="The operator's tenant cannot be suspended.",
            ),
        ),
        migrations.AddConstraint(
            model_name="logincounter",
            constraint=models.UniqueConstraint(
                fields=("kind", "subject"),
                name="identity_log_in_counter_unique",
                violation_error_message="There is such a counter already.",
            ),
        ),
    ]
