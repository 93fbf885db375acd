"""`manage.py user create|remove|suspend|resume|deactivate|activate|reset-factors EMAIL`. The password never stands in the command line, where other users could read it."""

from __future__ import annotations

import argparse
import secrets
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ollamamax.identity.actions.member import add_member, change_member, remove_member
from ollamamax.identity.actions.second_factor import remove_all_factors
from ollamamax.identity.actions.user import create_user, set_user_active
from ollamamax.identity.models import Membership, Tenant, User
from ollamamax.identity.queries.member import find_user
from ollamamax.identity.queries.tenant import find_tenant
from ollamamax.kernel.errors import NotFound, OllamaMaxError
from ollamamax.kernel.principal import system

ACTING = system("manage.py user")


class Command(BaseCommand):
    help = "Users: make one as a member of a tenant, end or suspend a membership, switch a user off and on."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, parser_class=argparse.ArgumentParser)
        create = commands.add_parser("create", help="Make a user, or give an existing one a role in another tenant.")
        create.add_argument("email")
        create.add_argument("--tenant", default="default", help="Slug of the tenant. Default: default.")
        create.add_argument("--role", default="member", help="Slug of a role of the tenant. Default: member.")
        create.add_argument(
            "--password-stdin",
            action="store_true",
            help="Read the password from standard input. Without it one is generated and printed.",
        )

        remove = commands.add_parser("remove", help="End a user's membership of a tenant, and their keys there.")
        remove.add_argument("email")
        remove.add_argument("--tenant", default="default", help="Slug of the tenant. Default: default.")
        for name, text in (
            ("suspend", "Let a membership count for nothing: the user stays as they are in other tenants."),
            ("resume", "Let a suspended membership count again."),
        ):
            one = commands.add_parser(name, help=text)
            one.add_argument("email")
            one.add_argument("--tenant", default="default", help="Slug of the tenant. Default: default.")
        for name, text in (
            ("deactivate", "End a user's sessions and keys in every tenant."),
            ("activate", "Let a user that was deactivated in again."),
            ("reset-factors", "Remove the second factors of a user who lost them: the password alone lets in again."),
        ):
            commands.add_parser(name, help=text).add_argument("email")

    def handle(self, *args: Any, command: str, email: str, tenant: str = "", **options: Any) -> None:
        try:
            if command == "create":
                self._create(email, tenant, options["role"], password_stdin=options["password_stdin"])
            elif command == "remove":
                remove_member(acting=ACTING, tenant=_tenant(tenant), user=_user(email))
            elif command in {"suspend", "resume"}:
                state = Membership.State.SUSPENDED if command == "suspend" else Membership.State.ACTIVE
                change_member(acting=ACTING, tenant=_tenant(tenant), user_id=_user(email).id, state=state)
            elif command == "reset-factors":
                removed = remove_all_factors(acting=ACTING, user_id=_user(email).id)
                self.stdout.write(f"{removed} second factors were removed.")
            else:
                set_user_active(acting=ACTING, user_id=_user(email).id, active=command == "activate")
        except OllamaMaxError as error:
            raise CommandError(error.message) from error

    def _create(self, email: str, tenant: str, role: str, *, password_stdin: bool) -> None:
        place = _tenant(tenant)
        password = sys.stdin.readline().rstrip("\r\n") if password_stdin else secrets.token_urlsafe(18)
        user = find_user(email)
        is_new = user is None
        user = user or create_user(acting=ACTING, email=email, password=password)
        add_member(acting=ACTING, tenant=place, user=user, role=role)
        if is_new and not password_stdin:
            self.stdout.write(password)


def _tenant(slug: str) -> Tenant:
    found = find_tenant(slug)
    if found is None:
        raise NotFound(f"There is no tenant '{slug}'.")
    return found


def _user(email: str) -> User:
    found = find_user(email)
    if found is None:
        raise NotFound(f"There is no user '{email}'.")
    return found
