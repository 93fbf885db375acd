"""Identity providers that are directories, asked by LDAP: what they have besides."""

import django.db.models.deletion
from django.db import migrations, models

import ollamamax.kernel.ids


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0024_second_factors"),
        ("sso", "0003_saml"),
    ]

    operations = [
        migrations.CreateModel(
            name="LdapSettings",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("addresses", models.JSONField(default=list)),
                ("ca", models.TextField(blank=True, default="")),
                ("user_filter", models.CharField(max_length=1000)),
                ("subject_attribute", models.CharField(max_length=100)),
                ("group_base", models.CharField(blank=True, default="", max_length=1000)),
                ("group_filter", models.CharField(blank=True, default="", max_length=1000)),
                ("asked_at", models.DateTimeField(db_index=True, null=True)),
                ("synced_at", models.DateTimeField(null=True)),
                ("sync_error", models.CharField(blank=True, default="", max_length=500)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
                (
                    "provider",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="ldap", to="sso.identityprovider"
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
            field=models.CharField(
                choices=[("oidc", "Oidc"), ("saml", "Saml"), ("ldap", "Ldap")], default="oidc", max_length=8
            ),
        ),
        migrations.AddConstraint(
            model_name="identityprovider",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["oidc", "saml", "ldap"])),
                name="sso_provider_kind_known",
                violation_error_message="An identity provider speaks OpenID Connect, SAML or LDAP.",
            ),
        ),
    ]
