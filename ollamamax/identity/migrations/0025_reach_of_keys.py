"""Where and for what a key may be used, tokens in and out apart, and how long a prompt and its answer may be."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0024_second_factors"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="context_tokens",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="input_tokens_per_minute",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="output_tokens",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="output_tokens_per_minute",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="reach_addresses",
            field=models.JSONField(db_default=[], default=list),
        ),
        migrations.AddField(
            model_name="apikey",
            name="reach_models",
            field=models.JSONField(db_default=[], default=list),
        ),
        migrations.AddField(
            model_name="apikey",
            name="reach_routes",
            field=models.JSONField(db_default=[], default=list),
        ),
        migrations.AddField(
            model_name="tenant",
            name="context_tokens",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="tenant",
            name="input_tokens_per_minute",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="tenant",
            name="output_tokens",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="tenant",
            name="output_tokens_per_minute",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("input_tokens_per_minute__isnull", True), ("input_tokens_per_minute__gte", 1), _connector="OR"
                ),
                name="identity_key_input_tokens_per_minute_least",
                violation_error_message="input_tokens_per_minute is at least 1, or null for no limit.",
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("output_tokens_per_minute__isnull", True), ("output_tokens_per_minute__gte", 1), _connector="OR"
                ),
                name="identity_key_output_tokens_per_minute_least",
                violation_error_message="output_tokens_per_minute is at least 1, or null for no limit.",
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(("context_tokens__isnull", True), ("context_tokens__gte", 1), _connector="OR"),
                name="identity_key_context_tokens_least",
                violation_error_message="context_tokens is at least 1, or null for no limit.",
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(("output_tokens__isnull", True), ("output_tokens__gte", 1), _connector="OR"),
                name="identity_key_output_tokens_least",
                violation_error_message="output_tokens is at least 1, or null for no limit.",
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("input_tokens_per_minute__isnull", True), ("input_tokens_per_minute__gte", 1), _connector="OR"
                ),
                name="identity_tenant_input_tokens_per_minute_least",
                violation_error_message="input_tokens_per_minute is at least 1, or null for no limit.",
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("output_tokens_per_minute__isnull", True), ("output_tokens_per_minute__gte", 1), _connector="OR"
                ),
                name="identity_tenant_output_tokens_per_minute_least",
                violation_error_message="output_tokens_per_minute is at least 1, or null for no limit.",
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(("context_tokens__isnull", True), ("context_tokens__gte", 1), _connector="OR"),
                name="identity_tenant_context_tokens_least",
                violation_error_message="context_tokens is at least 1, or null for no limit.",
            ),
        ),
        migrations.AddConstraint(
            model_name="tenant",
            constraint=models.CheckConstraint(
                condition=models.Q(("output_tokens__isnull", True), ("output_tokens__gte", 1), _connector="OR"),
                name="identity_tenant_output_tokens_least",
                violation_error_message="output_tokens is at least 1, or null for no limit.",
            ),
        ),
    ]
