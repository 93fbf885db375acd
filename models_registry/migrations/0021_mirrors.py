"""Mirrors of other registries, and what they keep of them."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import ollamamax.kernel.ids


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0031_prompts"),
        ("models_registry", "0020_rollout_kind"),
    ]

    operations = [
        migrations.CreateModel(
            name="Mirror",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("prefix", models.CharField(max_length=64)),
                ("upstream", models.CharField(max_length=255)),
                ("most_bytes", models.PositiveBigIntegerField()),
                ("check_seconds", models.PositiveIntegerField()),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="MirroredBlob",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("repository", models.CharField(max_length=255)),
                ("digest", models.CharField(max_length=71)),
                ("size", models.PositiveBigIntegerField()),
                ("media_type", models.CharField(max_length=200)),
                ("used_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "blob",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="mirrored",
                        to="models_registry.blob",
                    ),
                ),
                (
                    "mirror",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="blobs", to="models_registry.mirror"
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
            name="MirroredImage",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("repository", models.CharField(max_length=255)),
                ("digest", models.CharField(max_length=71)),
                ("media_type", models.CharField(max_length=200)),
                ("body", models.BinaryField()),
                ("used_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("blobs", models.ManyToManyField(blank=True, related_name="images", to="models_registry.mirroredblob")),
                (
                    "mirror",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="images", to="models_registry.mirror"
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
            name="MirroredTag",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("repository", models.CharField(max_length=255)),
                ("name", models.CharField(max_length=128)),
                ("checked_at", models.DateTimeField()),
                (
                    "image",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tags",
                        to="models_registry.mirroredimage",
                    ),
                ),
                (
                    "mirror",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="tags", to="models_registry.mirror"
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
        migrations.AddConstraint(
            model_name="mirror",
            constraint=models.UniqueConstraint(
                fields=("tenant", "prefix"),
                name="registry_mirror_prefix_unique",
                violation_error_message="There is a mirror with this prefix already.",
            ),
        ),
        migrations.AddIndex(
            model_name="mirroredblob",
            index=models.Index(fields=["mirror", "used_at"], name="registry_mirrored_blob_used"),
        ),
        migrations.AddConstraint(
            model_name="mirroredblob",
            constraint=models.UniqueConstraint(
                fields=("mirror", "repository", "digest"),
                name="registry_mirrored_blob_unique",
                violation_error_message="The mirror knows this blob already.",
            ),
        ),
        migrations.AddIndex(
            model_name="mirroredimage",
            index=models.Index(fields=["mirror", "used_at"], name="registry_mirrored_image_used"),
        ),
        migrations.AddConstraint(
            model_name="mirroredimage",
            constraint=models.UniqueConstraint(
                fields=("mirror", "repository", "digest"),
                name="registry_mirrored_image_unique",
                violation_error_message="The mirror has this manifest already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="mirroredtag",
            constraint=models.UniqueConstraint(
                fields=("mirror", "repository", "name"),
                name="registry_mirrored_tag_unique",
                violation_error_message="The mirror has this tag already.",
            ),
        ),
    ]
