"""``ollamamax prepare``: migrations, then the first tenant, user, key and model, then the directory, in one process. Safe to repeat."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from redis.exceptions import RedisError

from ollamamax.audit.notes import UntrustedKey
from ollamamax.audit.removal import drop_removed
from ollamamax.audit.retention import drop_expired, make_partitions
from ollamamax.bus import publication, regions
from ollamamax.metering.actions.usage import keep_usage
from ollamamax.processes.database_users import UserMissing, as_owner, prepare_user


class Command(BaseCommand):
    help = "Bring the database to this version and make what a first start needs."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        with as_owner() as two_users:
            call_command("migrate", interactive=False, verbosity=0)
            keep_usage()
            make_partitions()
            drop_removed()
            if settings.ENV["OLLAMAMAX_AUDIT_DAYS"]:
                try:
                    drop_expired(settings.ENV["OLLAMAMAX_AUDIT_DAYS"], settings.HOME / "audit")
                except UntrustedKey as error:
                    self.stderr.write(str(error))
            if two_users:
                try:
                    prepare_user()
                except UserMissing as error:
                    raise CommandError(str(error)) from error
        call_command("bootstrap")
        try:
            publish_all()
        except RedisError as error:
            # The control plane's loops do it, a few seconds after it has begun; no gateway is ready before.
            self.stderr.write(f"The directory is not published yet: {error}")


def publish_all() -> None:
    """Tell the data plane everything, so that gateways are ready as soon as they have read it."""
    for region in regions.every():
        publication.publish_all(region)
