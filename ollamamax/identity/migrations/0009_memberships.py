"""Memberships have a state and a source; what a member may do on single objects."""

import django.db.models.deletion
from django.db import migrations, models

import ollamamax.kernel.ids


class Migration(migrations.Migration):
    dependencies = [("identity", "0008_roles")]

    operations = [
        migrations.AlterField(
            model_name="membership",
            name="role",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="memberships", to="identity.role"
            ),
        ),
        migrations.RemoveField(model_name="membership", name="role_slug"),
        migrations.AddField(
            model_name="membership",
            name="state",
            field=models.CharField(
                choices=[("invited", "Invited"), ("active", "Active"), ("suspended", "Suspended")],
                default="active",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="membership",
            name="source",
            field=models.CharField(
                choices=[("local", "Local"), ("oidc", "Oidc"), ("saml", "Saml"), ("scim", "Scim"), ("ldap", "Ldap")],
                default="local",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="membership", name="external_id", field=models.CharField(blank=True, default="", max_length=255)
        ),
        migrations.AddField(model_name="membership", name="changed_at", field=models.DateTimeField(auto_now=True)),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.UniqueConstraint(
                condition=models.Q(("external_id", ""), _negated=True),
                fields=("tenant", "source", "external_id"),
                name="identity_membership_external_unique",
                violation_error_message="There is a member with this external id already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["invited", "active", "suspended"])),
                name="identity_membership_state_known",
                violation_error_message="A membership is invited, active or suspended.",
            ),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.CheckConstraint(
                condition=models.Q(("source__in", ["local", "oidc", "saml", "scim", "ldap"])),
                name="identity_membership_source_known",
                violation_error_message="A membership is kept here, or by OIDC, SAML, SCIM or LDAP.",
            ),
        ),
        migrations.CreateModel(
            name="Grant",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("permission", models.CharField(max_length=64)),
                ("target", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "membership",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="grants", to="identity.membership"
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["tenant", "target"], name="identity_grant_target")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=["membership", "target", "permission"],
                        name="identity_grant_unique",
                        violation_error_message="This member has the permission on the object already.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("target__regex", "^[a-z]{1,20}:[0-9a-f]{32}$")),
                        name="identity_grant_target_form",
                        violation_error_message="A grant is on an object: a kind, a colon, its id.",
                    ),
                ],
            },
        ),
    ]
