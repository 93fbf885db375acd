"""`manage.py tenant create|operator|suspend|resume|delete|keep SLUG`, and `manage.py tenant nodes SLUG allow|refuse`."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ollamamax.identity.actions.tenant import change_tenant, create_tenant, make_operator, set_tenant_suspended
from ollamamax.identity.actions.tenant_deletion import ask_deletion, keep_tenant
from ollamamax.identity.queries.tenant import find_tenant
from ollamamax.kernel.errors import NotFound, OllamaMaxError
from ollamamax.kernel.principal import system


class Command(BaseCommand):
    help = "Tenants: make one, name the one that runs this installation, suspend one, let it in again, delete one, allow it nodes."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, parser_class=argparse.ArgumentParser)
        create = commands.add_parser("create", help="Make a tenant.")
        create.add_argument("slug", help="Its short name: small letters, digits, hyphens.")
        create.add_argument("--name", help="Its full name. Default: the slug.")
        operator = commands.add_parser("operator", help="Name the tenant that runs this installation, for good.")
        operator.add_argument("slug")
        for name, text in (
            ("suspend", "Refuse its keys and people, and end what runs for them."),
            ("resume", "Let a suspended tenant in again."),
        ):
            commands.add_parser(name, help=text).add_argument("slug")

        delete = commands.add_parser(
            "delete", help="Suspend a tenant, and remove everything of it when its grace is over."
        )
        delete.add_argument("slug")
        delete.add_argument("--confirm", required=True, help="The short name, typed again.")
        commands.add_parser("keep", help="Take a deletion back whose time has not come.").add_argument("slug")

        nodes = commands.add_parser("nodes", help="Say whether hosts may become a tenant's nodes.")
        nodes.add_argument("slug")
        nodes.add_argument("allowed", choices=["allow", "refuse"], help="Nodes that it has stay in any case.")

    def handle(
        self,
        *args: Any,
        command: str,
        slug: str,
        name: str | None = None,
        allowed: str = "",
        confirm: str = "",
        **options: Any,
    ) -> None:
        acting = system("manage.py tenant")
        try:
            if command == "create":
                tenant = create_tenant(acting=acting, slug=slug, name=name or slug)
            else:
                found = find_tenant(slug)
                if found is None:
                    raise NotFound(f"There is no tenant '{slug}'.")
                if command == "operator":
                    tenant = make_operator(acting=acting, tenant_id=found.id)
                elif command == "delete":
                    tenant = ask_deletion(acting=acting, tenant_id=found.id, slug=confirm)
                elif command == "keep":
                    tenant = keep_tenant(acting=acting, tenant_id=found.id)
                elif command == "nodes":
                    tenant = change_tenant(acting=acting, tenant_id=found.id, may_join_nodes=allowed == "allow")
                else:
                    suspended = command == "suspend"
                    tenant = set_tenant_suspended(acting=acting, tenant_id=found.id, suspended=suspended)
        except OllamaMaxError as error:
            raise CommandError(error.message) from error
        self.stdout.write(str(tenant.id))
        if tenant.deletes_at is not None:
            self.stdout.write(f"Everything of it is removed from {tenant.deletes_at.isoformat(timespec='seconds')} on.")
