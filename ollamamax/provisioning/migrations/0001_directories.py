"""Directories of identity providers: their tokens, users, and groups."""

import django.db.models.deletion
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models

import ollamamax.kernel.ids


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("identity", "0022_removed_members"),
        ("sso", "0002_withheld_is_of_memberships"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="DirectoryGroup",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("display_name", models.CharField(max_length=255)),
                ("external_id", models.CharField(blank=True, default="", max_length=255)),
                ("version", models.PositiveIntegerField(default=1)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("changed_at", models.DateTimeField(auto_now=True)),
                (
                    "provider",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="directory_groups",
                        to="sso.identityprovider",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="DirectoryUser",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("user_name", models.CharField(max_length=255)),
                ("external_id", models.CharField(blank=True, default="", max_length=255)),
                ("address", models.CharField(blank=True, default="", max_length=254)),
                ("active", models.BooleanField(default=True)),
                ("resource", models.JSONField(default=dict)),
                (
                    "waits",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "Nothing"),
                            ("no_address", "No Address"),
                            ("foreign_domain", "Foreign Domain"),
                            ("address_taken", "Address Taken"),
                            ("no_role", "No Role"),
                            ("break_glass", "Break Glass"),
                            ("no_room", "No Room"),
                            ("kept_out", "Kept Out"),
                        ],
                        default="",
                        max_length=16,
                    ),
                ),
                ("made_account", models.BooleanField(default=False)),
                ("version", models.PositiveIntegerField(default=1)),
                ("removed_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("changed_at", models.DateTimeField(auto_now=True)),
                (
                    "membership",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="directory_user",
                        to="identity.membership",
                    ),
                ),
                (
                    "provider",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="directory_users",
                        to="sso.identityprovider",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="GroupMember",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("display", models.CharField(blank=True, default="", max_length=255)),
                (
                    "group",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="members",
                        to="provisioning.directorygroup",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="in_groups",
                        to="provisioning.directoryuser",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ScimToken",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("identifier", models.CharField(max_length=16, unique=True)),
                ("secret_hash", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("created_by_name", models.CharField(max_length=254)),
                ("expires_at", models.DateTimeField(null=True)),
                ("revoked_at", models.DateTimeField(null=True)),
                ("used_at", models.DateTimeField(null=True)),
                (
                    "provider",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="scim_tokens",
                        to="sso.identityprovider",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="directorygroup",
            index=models.Index(fields=["provider", "display_name"], name="provisioning_group_name"),
        ),
        migrations.AddIndex(
            model_name="directoryuser",
            index=models.Index(fields=["provider", "external_id"], name="provisioning_user_external"),
        ),
        migrations.AddIndex(
            model_name="directoryuser",
            index=models.Index(fields=["provider", "address"], name="provisioning_user_address"),
        ),
        migrations.AddConstraint(
            model_name="directoryuser",
            constraint=models.UniqueConstraint(
                models.F("provider"),
                django.db.models.functions.text.Lower("user_name"),
                condition=models.Q(("removed_at", None)),
                name="provisioning_user_name_unique",
                violation_error_message="There is a user with this userName already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="groupmember",
            constraint=models.UniqueConstraint(
                fields=("group", "user"),
                name="provisioning_group_member_unique",
                violation_error_message="This user is in the group already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="scimtoken",
            constraint=models.CheckConstraint(
                condition=models.Q(("name", ""), _negated=True),
                name="provisioning_token_named",
                violation_error_message="A token has a name.",
            ),
        ),
    ]
