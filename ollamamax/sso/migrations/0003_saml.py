"""Identity providers that speak SAML: what they have besides, and answers that wait for their browser."""

import django.db.models.deletion
from django.db import migrations, models

import ollamamax.kernel.ids


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0024_second_factors"),
        ("sso", "0002_withheld_is_of_memberships"),
    ]

    operations = [
        migrations.CreateModel(
            name="SamlAnswer",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("ticket_hash", models.CharField(max_length=64)),
                ("sealed", models.BinaryField()),
                ("expires_at", models.DateTimeField(db_index=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
                (
                    "provider",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="sso.identityprovider"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="SamlSettings",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("metadata_url", models.CharField(blank=True, default="", max_length=2000)),
                ("sso_url", models.CharField(max_length=2000)),
                ("slo_url", models.CharField(blank=True, default="", max_length=2000)),
                ("certificates", models.JSONField(default=list)),
                ("subject_claim", models.CharField(blank=True, default="", max_length=100)),
                ("unsolicited", models.BooleanField(default=False)),
                ("encrypted", models.BooleanField(default=False)),
                ("certificate", models.TextField()),
                ("sealed_key", models.BinaryField()),
                ("read_at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
                (
                    "provider",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="saml", to="sso.identityprovider"
                    ),
                ),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="identityprovider",
            name="sso_provider_kind_known",
        ),
        migrations.AlterField(
            model_name="identityprovider",
            name="kind",
            field=models.CharField(choices=[("oidc", "Oidc"), ("saml", "Saml")], default="oidc", max_length=8),
        ),
        migrations.AddConstraint(
            model_name="identityprovider",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["oidc", "saml"])),
                name="sso_provider_kind_known",
                violation_error_message="An identity provider speaks OpenID Connect or SAML.",
            ),
        ),
        migrations.AddConstraint(
            model_name="samlanswer",
            constraint=models.UniqueConstraint(
                fields=("provider", "ticket_hash"),
                name="sso_saml_answer_unique",
                violation_error_message="There is an answer with this ticket already.",
            ),
        ),
    ]
