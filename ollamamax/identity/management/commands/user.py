"""`manage.py user create EMAIL`. The password never stands in the command line, where other users could read it."""

from __future__ import annotations

import argparse
import secrets
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ollamamax.identity.actions.member import add_member
from ollamamax.identity.actions.user import create_user
from ollamamax.identity.models import Role
from ollamamax.identity.queries.member import find_user
from ollamamax.identity.queries.tenant import find_tenant
from ollamamax.kernel.errors import OllamaMaxError
from ollamamax.kernel.principal import system


class Command(BaseCommand):
    help = "Users. `user create` makes one, as a member of a tenant."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, parser_class=argparse.ArgumentParser)
        create = commands.add_parser("create", help="Make a user, or give an existing one a role in another tenant.")
        create.add_argument("email")
        create.add_argument("--tenant", default="default", help="Slug of the tenant. Default: default.")
        create.add_argument("--role", default=Role.MEMBER.value, choices=Role.values)
        create.add_argument(
            "--password-stdin",
            action="store_true",
            help="Read the password from standard input. Without it one is generated and printed.",
        )

    def handle(self, *args: Any, email: str, tenant: str, role: str, password_stdin: bool, **options: Any) -> None:
        acting = system("manage.py user")
        place = find_tenant(tenant)
        if place is None:
            raise CommandError(f"There is no tenant '{tenant}'.")
        password = sys.stdin.readline().rstrip("\r\n") if password_stdin else secrets.token_urlsafe(18)
        try:
            user = find_user(email)
            is_new = user is None
            user = user or create_user(acting=acting, email=email, password=password)
            add_member(acting=acting, tenant=place, user=user, role=role)
        except OllamaMaxError as error:
            raise CommandError(error.message) from error
        if is_new and not password_stdin:
            self.stdout.write(password)
