"""Whether a membership is withheld is kept with the membership, where whoever changes that by hand sees it."""

from django.db import migrations


def move(apps, schema_editor):  # type: ignore[no-untyped-def]
    identities, memberships = apps.get_model("sso", "ExternalIdentity"), apps.get_model("identity", "Membership")
    for identity in identities._base_manager.filter(withheld=True).iterator():
        memberships._base_manager.filter(
            tenant_id=identity.tenant_id, user_id=identity.user_id, state="suspended"
        ).update(withheld=True)


class Migration(migrations.Migration):
    dependencies = [("identity", "0022_removed_members"), ("sso", "0001_single_sign_on")]

    operations = [
        migrations.RunPython(move),
        migrations.RemoveField(model_name="externalidentity", name="withheld"),
    ]
