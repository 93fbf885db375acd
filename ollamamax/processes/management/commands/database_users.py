"""``ollamamax database_users``: prints the SQL that makes the user of DATABASE_URL and gives it its rights."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from ollamamax.processes.database_users import creation, rights, tables, user_of


class Command(BaseCommand):
    help = "Print the SQL for the user that everything runs as, for whoever may make users in your database."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        user = user_of(settings.ENV["DATABASE_URL"])
        for statement in (creation(user, "choose one, and put it into DATABASE_URL"), *rights(user, tables())):
            self.stdout.write(statement.as_string() + ";")
