"""`ollamamax models add FILE.gguf --name n:tag` and `ollamamax models list`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from models_registry.actions.version import publish_gguf
from models_registry.queries.model import channels
from ollamamax.identity.models import Tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import OllamaMaxError
from ollamamax.kernel.principal import system


class Command(BaseCommand):
    help = "Publish a GGUF file as a model, or list models."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        add = commands.add_parser("add", help="Publish a GGUF file.")
        add.add_argument("file", type=Path)
        add.add_argument("--name", required=True, help="name or name:tag")
        add.add_argument("--alias", action="append", default=[], help="a further tag of the same model")
        add.add_argument("--tenant", default="default", help="slug of the tenant")
        listing = commands.add_parser("list", help="List models.")
        listing.add_argument("--tenant", default="default", help="slug of the tenant")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant = Tenant.objects.filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"There is no tenant '{options['tenant']}'.")
        with tenant_scope(tenant):
            if options["command"] == "list":
                for channel in channels(system("manage.py models")):
                    self.stdout.write(
                        f"{channel.model.name}:{channel.name}\t{channel.version.digest}\t{channel.version.size}"
                    )
                return
            file: Path = options["file"]
            if not file.is_file():
                raise CommandError(f"There is no file {file}.")
            try:
                version = publish_gguf(
                    acting=system("manage.py models add", tenant.id.hex),
                    file=file,
                    name=options["name"],
                    aliases=tuple(options["alias"]),
                )
            except (OllamaMaxError, OSError) as error:
                raise CommandError(str(error)) from None
        self.stdout.write(f"{options['name']}\t{version.digest}\t{version.size}")
