"""Roles become rows, those of the system the same in every tenant; memberships have a state and a source; grants on objects."""

import django.db.models.deletion
from django.db import migrations, models

import ollamamax.kernel.ids

# As in this release. Their ids are the same in every installation.
VIEWER = ["key.view", "member.view", "model.view", "node.view", "usage.view"]
MEMBER = [*VIEWER, "inference.use", "key.manage"]
ALL = [*MEMBER, "audit.view", "member.manage", "model.manage", "node.manage", "tenant.manage"]
ROLES = {
    "owner": ("Owner", ALL),
    "admin": ("Administrator", ALL),
    "operator": ("Operator", [*MEMBER, "model.manage", "node.manage"]),
    "developer": ("Developer", [*MEMBER, "model.manage"]),
    "member": ("Member", MEMBER),
    "auditor": ("Auditor", [*VIEWER, "audit.view"]),
    "billing": ("Billing", ["member.view", "usage.view"]),
    "viewer": ("Viewer", VIEWER),
}


def seed(apps, schema_editor):  # type: ignore[no-untyped-def]
    role = apps.get_model("identity", "Role")
    for number, (slug, (name, permissions)) in enumerate(ROLES.items(), 1):
        role._base_manager.create(
            id=f"00000000-0000-0000-0000-{number:012d}", slug=slug, name=name, permissions=sorted(permissions)
        )


class Migration(migrations.Migration):
    dependencies = [("identity", "0007_strict_fields")]

    operations = [
        migrations.CreateModel(
            name="Role",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=ollamamax.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("slug", models.CharField(max_length=63)),
                ("name", models.CharField(max_length=100)),
                ("permissions", models.JSONField(default=list)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("changed_at", models.DateTimeField(auto_now=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="identity.tenant"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=["tenant", "slug"],
                        name="identity_role_slug_unique",
                        violation_error_message="There is a role with this slug already.",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("tenant", None)),
                        fields=["slug"],
                        name="identity_role_system_slug_unique",
                        violation_error_message="There is a role with this slug already.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("slug__regex", "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")),
                        name="identity_role_slug_form",
                        violation_error_message="A slug has 1 to 63 small letters, digits and inner hyphens.",
                    ),
                ],
            },
        ),
        migrations.RunPython(seed, migrations.RunPython.noop),
        migrations.RemoveConstraint(model_name="membership", name="identity_membership_role_known"),
        migrations.RenameField(model_name="membership", old_name="role", new_name="role_slug"),
        migrations.AddField(
            model_name="membership",
            name="role",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="memberships", to="identity.role"
            ),
        ),
        migrations.RunSQL(
            "UPDATE identity_membership AS member SET role_id = role.id FROM identity_role AS role "
            "WHERE role.tenant_id IS NULL AND role.slug = member.role_slug",
            "UPDATE identity_membership AS member SET role_slug = role.slug FROM identity_role AS role WHERE role.id = member.role_id",
        ),
    ]
