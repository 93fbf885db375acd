"""`manage.py tenant create SLUG`."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ollamamax.identity.actions.tenant import create_tenant
from ollamamax.kernel.errors import OllamaMaxError
from ollamamax.kernel.principal import system


class Command(BaseCommand):
    help = "Tenants. `tenant create` makes one."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, parser_class=argparse.ArgumentParser)
        create = commands.add_parser("create", help="Make a tenant.")
        create.add_argument("slug", help="Its short name: small letters, digits, hyphens.")
        create.add_argument("--name", help="Its full name. Default: the slug.")

    def handle(self, *args: Any, slug: str, name: str | None, **options: Any) -> None:
        try:
            tenant = create_tenant(acting=system("manage.py tenant"), slug=slug, name=name or slug)
        except OllamaMaxError as error:
            raise CommandError(error.message) from error
        self.stdout.write(str(tenant.id))
