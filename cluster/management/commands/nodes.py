"""`ollamamax nodes list`, and `cordon`, `drain` and `resume` with the id or the name of a node."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cluster.actions.node import MOST_DRAIN_SECONDS, NodeChange, change_node
from cluster.models import Node
from cluster.queries import node as queries
from ollamamax.identity.queries.tenant import find_tenant
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import OllamaMaxError
from ollamamax.kernel.principal import system

DRAIN_SECONDS = 600


class Command(BaseCommand):
    help = "List nodes; cordon one, so that it gets no new requests; drain it, which ends what still runs after a while; and let it serve again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        for name, does in (
            ("list", "List nodes."),
            ("cordon", "Give a node no new requests; what runs goes on to its end."),
            (
                "drain",
                "Give it no new requests, and end what still runs after some time: it goes on elsewhere where it can.",
            ),
            ("resume", "Give it requests again."),
        ):
            command = commands.add_parser(name, help=does, aliases=["undrain"] if name == "resume" else [])
            if name == "drain":
                command.add_argument(
                    "--seconds", type=int, default=DRAIN_SECONDS, help="until what runs is ended; default: %(default)s"
                )
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
        acting = system(f"ollamamax nodes {options['command']}", found[0].tenant_id.hex)
        try:
            node = change_node(acting=acting, node_id=found[0].id, change=_change(options))
        except OllamaMaxError as error:
            raise CommandError(error.message) from None
        self.stdout.write(f"{node.id}\t{node.name}\t{_state(node)}")

    def _list(self, nodes: list[Node]) -> None:
        states = queries.states(nodes)
        for node in nodes:
            online = "online" if node.id.hex in states else "offline"
            self.stdout.write(f"{node.id}\t{node.tenant.slug}\t{node.name}\t{node.engine}\t{online}\t{_state(node)}")


def _change(options: dict[str, Any]) -> NodeChange:
    """Raises `CommandError` for a drain that nobody would live to see the end of."""
    if options["command"] != "drain":
        return {"schedulable": options["command"] != "cordon"}
    if not 0 <= options["seconds"] <= MOST_DRAIN_SECONDS:
        raise CommandError(f"A drain takes up to {MOST_DRAIN_SECONDS} seconds.")
    return {"schedulable": False, "drain_seconds": options["seconds"]}


def _state(node: Node) -> str:
    if node.schedulable:
        return "schedulable"
    return "cordoned" if node.drain_until is None else f"draining until {node.drain_until:%Y-%m-%d %H:%M:%S} UTC"
