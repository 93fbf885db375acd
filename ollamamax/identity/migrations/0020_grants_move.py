"""What members were granted moves to django-guardian's table, under the same ids."""

from django.db import migrations

APPS = {"node": "cluster", "model": "models_registry"}


def move(apps, schema_editor):  # type: ignore[no-untyped-def]
    types, permissions = apps.get_model("contenttypes", "ContentType"), apps.get_model("auth", "Permission")
    grants, moved = apps.get_model("identity", "Grant"), apps.get_model("identity", "MemberGrant")
    rows = {}
    for grant in grants._base_manager.select_related("membership").iterator():
        kind, _, id_ = grant.target.partition(":")
        if kind not in APPS:
            continue
        if (kind, grant.permission) not in rows:
            # After the migrations Django makes both for all models, and leaves these.
            type_ = types.objects.get_or_create(app_label=APPS[kind], model=kind)[0]
            rows[kind, grant.permission] = permissions.objects.get_or_create(
                content_type=type_, codename=grant.permission, defaults={"name": grant.permission}
            )[0]
        permission = rows[kind, grant.permission]
        made = moved._base_manager.create(
            id=grant.id,
            tenant_id=grant.tenant_id,
            membership_id=grant.membership_id,
            user_id=grant.membership.user_id,
            permission=permission,
            content_type=permission.content_type,
            object_pk="-".join((id_[:8], id_[8:12], id_[12:16], id_[16:20], id_[20:])),
        )
        moved._base_manager.filter(pk=made.pk).update(created_at=grant.created_at)


class Migration(migrations.Migration):
    dependencies = [("identity", "0019_teams_and_service_accounts")]

    operations = [migrations.RunPython(move)]
