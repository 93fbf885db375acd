"""`manage.py changepassword EMAIL`, in place of Django's own: by the action that also ends sessions and leaves an audit record."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ollamamax.identity.actions.user import change_password
from ollamamax.identity.queries.member import find_user
from ollamamax.kernel.errors import OllamaMaxError
from ollamamax.kernel.principal import system


class Command(BaseCommand):
    help = "Give a user a new password. Ends their sessions."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--password-stdin", action="store_true", help="Read it from standard input; no question.")

    def handle(self, *args: Any, email: str, password_stdin: bool, **options: Any) -> None:
        user = find_user(email)
        if user is None:
            raise CommandError(f"There is no user '{email}'.")
        try:
            change_password(
                acting=system("manage.py changepassword"), user_id=user.id, password=_read(ask=not password_stdin)
            )
        except OllamaMaxError as error:
            raise CommandError(error.message) from error


def _read(*, ask: bool) -> str:
    """The new password: from the terminal, twice, or the first line of standard input."""
    if not ask:
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("New password: ")
    if getpass.getpass("Again: ") != first:
        raise CommandError("The two passwords differ; nothing was changed.")
    return first
