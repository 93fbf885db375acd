"""Versions as models have them, with stages; moves of channels; promotions; manifests of the registry protocol; and who may promote."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import ollamamax.kernel.ids

SLUGS = ["owner", "admin", "operator"]
PERMISSION = "model.promote"

# What channels point at is a version of their model from now on. In the scope of every tenant, which ends with the statement's transaction.
RELEASES = """
DO $$ BEGIN
    PERFORM set_config('omx.tenant', '*', true);
    INSERT INTO models_registry_release
        (id, tenant_id, model_id, version_id, stage, stage_changed_at, origin, by_kind, by_id, by_name, created_at)
    SELECT gen_random_uuid(), c.tenant_id, c.model_id, c.version_id, 'draft', min(c.moved_at),
        CASE WHEN v.source = 'external' THEN 'engine' ELSE 'published' END, 'system', 'models_registry', 'models_registry', min(c.moved_at)
    FROM models_registry_channel c JOIN models_registry_version v ON v.id = c.version_id
    GROUP BY c.tenant_id, c.model_id, c.version_id, v.source;
END $$
"""


def give(apps, schema_editor):  # type: ignore[no-untyped-def]
    for role in apps.get_model("identity", "Role")._base_manager.filter(tenant=None, slug__in=SLUGS):
        role.permissions = sorted({*role.permissions, PERMISSION})
        role.save(update_fields=["permissions"])


def take(apps, schema_editor):  # type: ignore[no-untyped-def]
    for role in apps.get_model("identity", "Role")._base_manager.filter(tenant=None, slug__in=SLUGS):
        role.permissions = sorted({*role.permissions} - {PERMISSION})
        role.save(update_fields=["permissions"])


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0015_sessions_and_rotation"),
        ("models_registry", "0007_job_speed"),
    ]

    operations = [
        migrations.CreateModel(
            name="ChannelMove",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("channel", models.CharField(max_length=128)),
                ("from_version", models.CharField(blank=True, default="", max_length=71)),
                ("to_version", models.CharField(blank=True, default="", max_length=71)),
                ("reason", models.CharField(blank=True, default="", max_length=500)),
                ("by_kind", models.CharField(max_length=16)),
                ("by_id", models.CharField(max_length=100)),
                ("by_name", models.CharField(max_length=254)),
                ("moved_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.CreateModel(
            name="Image",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("digest", models.CharField(max_length=71)),
                ("media_type", models.CharField(max_length=200)),
                ("body", models.BinaryField()),
                ("artifact_type", models.CharField(blank=True, default="", max_length=200)),
                ("subject", models.CharField(blank=True, default="", max_length=71)),
                ("annotations", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.CreateModel(
            name="Promotion",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "Open"), ("done", "Done"), ("rejected", "Rejected")],
                        default="open",
                        max_length=16,
                    ),
                ),
                ("reason", models.CharField(blank=True, default="", max_length=500)),
                ("needed", models.PositiveSmallIntegerField()),
                ("approvals", models.JSONField(default=list)),
                ("person", models.CharField(max_length=100)),
                ("by_name", models.CharField(max_length=254)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="PromotionPolicy",
            fields=[
                (
                    "tenant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="identity.tenant",
                    ),
                ),
                ("approvals", models.PositiveSmallIntegerField(default=0)),
                ("changed_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.CreateModel(
            name="Release",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "stage",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("staged", "Staged"),
                            ("production", "Production"),
                            ("deprecated", "Deprecated"),
                            ("archived", "Archived"),
                        ],
                        default="draft",
                        max_length=16,
                    ),
                ),
                ("stage_changed_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "origin",
                    models.CharField(
                        choices=[
                            ("published", "Published"),
                            ("pushed", "Pushed"),
                            ("copied", "Copied"),
                            ("engine", "kept by an engine"),
                        ],
                        max_length=16,
                    ),
                ),
                ("by_kind", models.CharField(max_length=16)),
                ("by_id", models.CharField(max_length=100)),
                ("by_name", models.CharField(max_length=254)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="version",
            name="registry_version_source_known",
        ),
        migrations.AddField(
            model_name="channel",
            name="image",
            field=models.CharField(blank=True, default="", max_length=71),
        ),
        migrations.AddField(
            model_name="channel",
            name="protected",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="model",
            name="card",
            field=models.TextField(blank=True, default=""),
        ),
        migrations.AddField(
            model_name="model",
            name="licence",
            field=models.CharField(blank=True, default="", max_length=100),
        ),
        migrations.AddField(
            model_name="model",
            name="tags",
            field=models.JSONField(default=list),
        ),
        migrations.AlterField(
            model_name="version",
            name="source",
            field=models.CharField(
                choices=[("hosted", "Hosted"), ("external", "External"), ("artifact", "Artifact")], max_length=16
            ),
        ),
        migrations.AddConstraint(
            model_name="version",
            constraint=models.CheckConstraint(
                condition=models.Q(("source__in", ["hosted", "external", "artifact"])),
                name="registry_version_source_known",
                violation_error_message="A version is hosted, external or an artifact.",
            ),
        ),
        migrations.AddField(
            model_name="channelmove",
            name="model",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="moves", to="models_registry.model"
            ),
        ),
        migrations.AddField(
            model_name="channelmove",
            name="tenant",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
            ),
        ),
        migrations.AddField(
            model_name="image",
            name="model",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="images", to="models_registry.model"
            ),
        ),
        migrations.AddField(
            model_name="image",
            name="tenant",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
            ),
        ),
        migrations.AddField(
            model_name="image",
            name="version",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="images", to="models_registry.version"
            ),
        ),
        migrations.AddField(
            model_name="promotion",
            name="tenant",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
            ),
        ),
        migrations.AddConstraint(
            model_name="promotionpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(("approvals__lte", 5)),
                name="registry_policy_approvals_few",
                violation_error_message="At most 5 approvals can be asked for.",
            ),
        ),
        migrations.AddField(
            model_name="release",
            name="model",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="releases", to="models_registry.model"
            ),
        ),
        migrations.AddField(
            model_name="release",
            name="tenant",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
            ),
        ),
        migrations.AddField(
            model_name="release",
            name="version",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="releases", to="models_registry.version"
            ),
        ),
        migrations.AddField(
            model_name="promotion",
            name="release",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="promotions", to="models_registry.release"
            ),
        ),
        migrations.AddIndex(
            model_name="channelmove",
            index=models.Index(fields=["model", "channel", "-id"], name="registry_move_of_channel"),
        ),
        migrations.AddConstraint(
            model_name="channelmove",
            constraint=models.CheckConstraint(
                condition=models.Q(("from_version", models.F("to_version")), _negated=True),
                name="registry_move_moves",
                violation_error_message="A channel that stays where it is has not moved.",
            ),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(fields=["model", "subject"], name="registry_image_subject"),
        ),
        migrations.AddConstraint(
            model_name="image",
            constraint=models.UniqueConstraint(
                fields=("model", "digest"),
                name="registry_image_digest_unique",
                violation_error_message="The repository has this manifest already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="image",
            constraint=models.CheckConstraint(
                condition=models.Q(("digest__regex", "^sha256:[0-9a-f]{64}$")),
                name="registry_image_digest_form",
                violation_error_message="A digest is sha256: and 64 hexadecimal digits.",
            ),
        ),
        migrations.AddConstraint(
            model_name="release",
            constraint=models.UniqueConstraint(
                fields=("model", "version"),
                name="registry_release_unique",
                violation_error_message="The model has this version already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="release",
            constraint=models.CheckConstraint(
                condition=models.Q(("stage__in", ["draft", "staged", "production", "deprecated", "archived"])),
                name="registry_release_stage_known",
                violation_error_message="Not a stage of a version.",
            ),
        ),
        migrations.AddConstraint(
            model_name="release",
            constraint=models.CheckConstraint(
                condition=models.Q(("origin__in", ["published", "pushed", "copied", "engine"])),
                name="registry_release_origin_known",
                violation_error_message="Not a way by which a model gets a version.",
            ),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "open")),
                fields=("release",),
                name="registry_promotion_once",
                violation_error_message="It was asked for already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["open", "done", "rejected"])),
                name="registry_promotion_state_known",
                violation_error_message="Not a state of a promotion.",
            ),
        ),
        migrations.RunSQL(RELEASES, migrations.RunSQL.noop),
        migrations.RunPython(give, take),
    ]
