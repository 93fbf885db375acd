"""Limits of tenants and keys, weights and classes, and the tenant that runs the installation."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="concurrent_requests",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="priority",
            field=models.CharField(
                choices=[("high", "High"), ("normal", "Normal"), ("low", "Low")], default="normal", max_length=8
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="requests_per_minute",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="tokens_per_minute",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="tenant",
            name="concurrent_requests",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="tenant",
            name="is_operator",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="tenant",
            name="requests_per_minute",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="tenant",
            name="show_route",
            field=models.BooleanField(default=True),
        ),
        migrations.AddField(
            model_name="tenant",
            name="tokens_per_minute",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="tenant",
            name="weight",
            field=models.FloatField(default=1.0),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(("priority__in", ["high", "normal", "low"])),
                name="identity_key_priority_known",
                violation_error_message="A key's priority is high, normal or low.",
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("requests_per_minute__isnull", True), ("requests_per_minute__gte", 1), _connector="OR"
                ),
                name="identity_key_requests_per_minute_least",
                violation_error_message="requests_per_minute is at least 1, or null for no limit.",
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(("tokens_per_minute__isnull", True), ("tokens_per_minute__gte", 1), _connector="OR"),
                name="identity_key_tokens_per_minute_least",
                violation_error_message="tokens_per_minute is at least 1, or null for no limit.",
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("concurrent_requests__isnull", True), ("concurrent_requests__gte", 1), _connector="OR"
                ),
                name="identity_key_concurrent_requests_least",
                violation_error_message="concurrent_requests is at least 1, or null for no limit.",
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(("weight__gte", 0.001), ("weight__lte", 1000.0)),
                name="identity_tenant_weight_range",
                violation_error_message="A tenant's weight is between 0.001 and 1000.",
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_operator", True)),
                fields=("is_operator",),
                name="identity_tenant_one_operator",
                violation_error_message="There is an operator already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("requests_per_minute__isnull", True), ("requests_per_minute__gte", 1), _connector="OR"
                ),
                name="identity_tenant_requests_per_minute_least",
                violation_error_message="requests_per_minute is at least 1, or null for no limit.",
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(("tokens_per_minute__isnull", True), ("tokens_per_minute__gte", 1), _connector="OR"),
                name="identity_tenant_tokens_per_minute_least",
                violation_error_message="tokens_per_minute is at least 1, or null for no limit.",
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("concurrent_requests__isnull", True), ("concurrent_requests__gte", 1), _connector="OR"
                ),
                name="identity_tenant_concurrent_requests_least",
                violation_error_message="concurrent_requests is at least 1, or null for no limit.",
            ),
        ),
    ]
