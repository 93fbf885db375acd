"""`manage.py node token`: a join token, for the shell of the control plane."""

from __future__ import annotations

import datetime
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cluster.actions.join_token import issue_join_token
from ollamamax.identity.models import Tenant
from ollamamax.kernel.errors import OllamaMaxError
from ollamamax.kernel.principal import system


class Command(BaseCommand):
    help = "Nodes, from the control plane's side. `node token` prints a join token."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        token = commands.add_parser("token", help="Print a join token.")
        token.add_argument("--tenant", default="default", help="Slug of the tenant whose node it will be.")
        token.add_argument("--minutes", type=int, default=60, help="How long it is good for.")
        token.add_argument("--uses", type=int, default=1, help="How many hosts may join with it.")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant = Tenant.objects.filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"There is no tenant '{options['tenant']}'.")
        try:
            _, text = issue_join_token(
                acting=system("manage.py node token", tenant.id.hex),
                lifetime=datetime.timedelta(minutes=options["minutes"]),
                max_uses=options["uses"],
            )
        except OllamaMaxError as error:
            raise CommandError(error.message) from None
        self.stdout.write(text)
