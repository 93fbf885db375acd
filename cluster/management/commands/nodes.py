"""`ollamamax nodes list`, `ollamamax nodes drain ID|NAME` and `ollamamax nodes undrain ID|NAME`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cluster.actions.node import set_schedulable
from cluster.models import Node
from cluster.queries import node as queries
from ollamamax.identity.queries.tenant import find_tenant
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import OllamaMaxError
from ollamamax.kernel.principal import system


class Command(BaseCommand):
    help = "List nodes; drain one, so that it gets no new requests while running ones finish; and let it serve again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        for name, does in (
            ("list", "List nodes."),
            ("drain", "Give a node no new requests."),
            ("undrain", "Give it some again."),
        ):
            command = commands.add_parser(name, help=does)
            if name != "list":
                command.add_argument("node", help="its id or its name")
            command.add_argument("--tenant", help="slug of the tenant; default: all")

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["tenant"]
        tenant = find_tenant(slug) if slug else None
        if slug and tenant is None:
            raise CommandError(f"There is no tenant '{slug}'.")
        with every_tenant():
            nodes = queries.of_tenants(tenant)
            if options["command"] == "list":
                self._list(list(nodes))
                return
            found = queries.by_id_or_name(nodes, options["node"])
        if len(found) != 1:
            why = "several nodes are" if found else "no node is"
            raise CommandError(f"{why.capitalize()} called '{options['node']}'; name it by its id, or say the tenant.")
        schedulable = options["command"] == "undrain"
        acting = system(f"ollamamax nodes {options['command']}", found[0].tenant_id.hex)
        try:
            node = set_schedulable(acting=acting, node_id=found[0].id, schedulable=schedulable)
        except OllamaMaxError as error:
            raise CommandError(error.message) from None
        self.stdout.write(f"{node.id}\t{node.name}\t{_state(node)}")

    def _list(self, nodes: list[Node]) -> None:
        states = queries.states(nodes)
        for node in nodes:
            online = "online" if node.id.hex in states else "offline"
            self.stdout.write(f"{node.id}\t{node.tenant.slug}\t{node.name}\t{node.engine}\t{online}\t{_state(node)}")


def _state(node: Node) -> str:
    return "schedulable" if node.schedulable else "drained"
