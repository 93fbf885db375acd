"""Applications that people log in to, codes and refresh tokens, and for how long workloads may go on without their issuers."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import ollamamax.kernel.ids


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0028_keys_without_secrets"),
        ("oauth", "0002_keys_without_secrets"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="workload",
            name="refresh_seconds",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.CreateModel(
            name="Application",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                ("secret_hash", models.CharField(blank=True, default="", max_length=64)),
                ("redirect_uris", models.JSONField()),
                ("log_out_uris", models.JSONField(default=list)),
                ("for_everybody", models.BooleanField(default=False)),
                ("enabled", models.BooleanField(default=True)),
                ("created_by_name", models.CharField(default="", max_length=254)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("changed_at", models.DateTimeField(auto_now=True)),
                ("secret_made_at", models.DateTimeField(null=True)),
                ("used_at", models.DateTimeField(null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ApplicationUsers",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "application",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="users", to="oauth.application"
                    ),
                ),
                (
                    "role",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="identity.role"
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="identity.team"
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
            name="TokenFamily",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("scope", models.CharField(max_length=2000)),
                ("auth_time", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField(db_index=True)),
                ("revoked_at", models.DateTimeField(null=True)),
                (
                    "revoked_because",
                    models.CharField(
                        blank=True,
                        choices=[("code_reused", "Code Reused"), ("refresh_token_reused", "Refresh Token Reused")],
                        default="",
                        max_length=32,
                    ),
                ),
                (
                    "application",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="oauth.application"
                    ),
                ),
                (
                    "session",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="identity.usersession",
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "workload",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="oauth.workload"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RefreshToken",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("token_hash", models.CharField(max_length=64, unique=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("used_at", models.DateTimeField(null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
                (
                    "family",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="refresh_tokens",
                        to="oauth.tokenfamily",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="AuthorizationCode",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("code_hash", models.CharField(max_length=64, unique=True)),
                ("redirect_uri", models.CharField(max_length=500)),
                ("scope", models.CharField(max_length=200)),
                ("nonce", models.CharField(blank=True, default="", max_length=500)),
                ("challenge", models.CharField(max_length=128)),
                ("auth_time", models.DateTimeField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField(db_index=True)),
                ("used_at", models.DateTimeField(null=True)),
                (
                    "application",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="oauth.application"
                    ),
                ),
                (
                    "session",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="identity.usersession"
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
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "family",
                    models.OneToOneField(
                        null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="oauth.tokenfamily"
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="application",
            constraint=models.UniqueConstraint(
                fields=("tenant", "name"),
                name="oauth_application_name_unique",
                violation_error_message="There is an application of this name already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="application",
            constraint=models.CheckConstraint(
                condition=models.Q(("name", ""), _negated=True),
                name="oauth_application_named",
                violation_error_message="An application has a name.",
            ),
        ),
        migrations.AddConstraint(
            model_name="applicationusers",
            constraint=models.UniqueConstraint(
                fields=("application", "role"),
                name="oauth_application_users_role_unique",
                violation_error_message="This role may use the application already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="applicationusers",
            constraint=models.UniqueConstraint(
                fields=("application", "team"),
                name="oauth_application_users_team_unique",
                violation_error_message="This team may use the application already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="applicationusers",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("role", None), ("team__isnull", False)),
                    models.Q(("role__isnull", False), ("team", None)),
                    _connector="OR",
                ),
                name="oauth_application_users_one",
                violation_error_message="Either a role or a team uses an application.",
            ),
        ),
        migrations.AddConstraint(
            model_name="tokenfamily",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("application__isnull", False),
                        ("session__isnull", False),
                        ("user__isnull", False),
                        ("workload", None),
                    ),
                    models.Q(("application", None), ("session", None), ("user", None), ("workload__isnull", False)),
                    _connector="OR",
                ),
                name="oauth_token_family_whose",
                violation_error_message="Tokens are a person's in an application, or a workload's.",
            ),
        ),
    ]
