"""Messages of every type of the contract, made from the types themselves: one with only what it must have, one with everything."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

NODE = "a" * 32
_TEXTS = ("text", NODE, "sha256:" + "ab" * 32)
"""One of these fits every pattern of the contract."""


class Message(NamedTuple):
    """``kind`` is a type, ``decode`` how it is read."""

    kind: Any
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def messages(modules: Mapping[str, ModuleType]) -> dict[str, Message]:
    """Every message, by a name that stays; ``modules`` are those of one release's contract."""
    ticket, output, from_node, tables = (modules[name] for name in ("ticket", "output", "from_node", "tables"))
    found = {
        "ticket": Message(ticket.Ticket, ticket.encode_ticket, ticket.decode_ticket),
        "control": Message(ticket.Control, ticket.encode_control, ticket.decode_control),
        "node_state": Message(
            modules["node_state"].NodeState, msgspec.json.encode, lambda data: from_node.decode_node_state(data, NODE)
        ),
        "order": Message(modules["node_state"].OrderState, msgspec.json.encode, from_node.decode_order),
        "done": Message(
            modules["node_state"].Counted,
            msgspec.json.encode,
            lambda data: from_node.decode_done({b"t": b"t.1", b"r": data})[1],
        ),
        "open": Message(modules["usage"].OpenRequest, msgspec.json.encode, modules["usage"].decode_open),
        "usage": Message(
            modules["usage"].UsageRecord,
            getattr(modules["usage"], "encode_usage", msgspec.json.encode),
            modules["usage"].decode_usage,
        ),
        "fault": Message(modules["faults"].Fault, msgspec.json.encode, modules["faults"].decode_fault),
        "cut": Message(modules["faults"].Cut, msgspec.json.encode, modules["faults"].decode_cut),
        "directory_change": Message(tables.TableChange, tables.encode_change, tables.decode_change),
    }
    if "gateway_order" in modules:
        orders = modules["gateway_order"]
        found["gateway_order"] = Message(orders.GatewayOrder, orders.encode_gateway_order, orders.decode_gateway_order)
        found["described"] = Message(orders.Described, msgspec.json.encode, orders.decode_described)
    if "measured" in modules:
        found |= _since_0_2(modules)
    for event in ("Started", "Delta", "Final", "Failure"):
        kind = getattr(output, event)
        found[f"frame_{event.lower()}"] = Message(
            kind,
            lambda made: output.encode_frames([output.Frame("t.1", 0, [made])]),
            lambda data: from_node.decode_frames(data)[0].events[0],
        )
    for table in tables.ALL:
        kind = _ENTRIES[table.name]
        found[f"table_{table.name}"] = Message(getattr(tables, kind), table.encode, table.decode)
    return found


def _since_0_2(modules: Mapping[str, ModuleType]) -> dict[str, Message]:
    from_node, node_state, health = modules["from_node"], modules["node_state"], modules["health"]
    node_log, loop_state, measured = modules["node_log"], modules["loop_state"], modules["measured"]
    history = modules["history"]
    found = {
        "state_brief": Message(
            node_state.StateBrief, msgspec.json.encode, lambda data: from_node.decode_state_brief(data, NODE)
        ),
        "node_log": Message(node_log.NodeLog, node_log.encode_node_log, from_node.decode_node_log),
        "loop_state": Message(loop_state.LoopState, msgspec.json.encode, loop_state.decode_loop_state),
        "health": Message(health.FleetHealth, health.encode_health, health.decode_health),
        "ended": Message(measured.EndedBatch, measured.encode_ended, measured.decode_ended),
    }
    for entry in ("Gauges", "CountedStep"):
        found[f"history_{entry.lower()}"] = Message(
            getattr(history, entry), history.encode_entry, lambda data: history.unpack(data)[0]
        )
    return found


_ENTRIES = {
    "keys": "KnownKey",
    "node_keys": "KnownKey",
    "tenants": "KnownTenant",
    "models": "Listed",
    "aliases": "ListedAlias",
    "blobs": "PublishedBlob",
    "nodes": "Registered",
    "budgets": "KnownBudgets",
    "signing_keys": "KnownSigningKey",
}


def least(kind: type[Any]) -> Any:
    """Only what has no default."""
    return msgspec.convert(_value(inspect.type_info(kind), whole=False), kind)


def full(kind: type[Any]) -> Any:
    """Every field, with something else than its default where that can be."""
    return msgspec.convert(_value(inspect.type_info(kind), whole=True), kind)


def _value(kind: inspect.Type, *, whole: bool) -> Any:
    match kind:
        case inspect.Metadata():
            return _value(kind.type, whole=whole)
        case inspect.StructType():
            wanted = [field for field in kind.fields if whole or field.required]
            if kind.array_like:
                parts = [_field(field, whole=whole) for field in kind.fields[: _until(kind, whole=whole)]]
                return [*([kind.tag] if kind.tag is not None else []), *parts]
            return {field.encode_name: _field(field, whole=whole) for field in wanted}
        case inspect.TypedDictType():
            return {field.encode_name: _value(field.type, whole=whole) for field in kind.fields if whole}
        case inspect.UnionType():
            return _value(next(each for each in kind.types if not isinstance(each, inspect.NoneType)), whole=whole)
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.ListType() | inspect.VarTupleType():
            return [_value(kind.item_type, whole=whole)] if whole else []
        case inspect.DictType():
            return {_value(kind.key_type, whole=whole): _value(kind.value_type, whole=whole)} if whole else {}
        case inspect.IntType():
            return max(3, kind.ge or 0)
        case inspect.FloatType():
            return 2.5
        case inspect.BoolType():
            return True
        case inspect.BytesType():
            return b"bytes"
        case inspect.StrType():
            return next(text for text in _TEXTS if _fits(text, kind))
        case _:
            return "anything"


def _field(field: inspect.Field, *, whole: bool) -> Any:
    """Another value than the default."""
    value = _value(field.type, whole=whole)
    if value == field.default and isinstance(field.type, inspect.LiteralType):
        return next(other for other in field.type.values if other != value)
    return not value if value is field.default else value


def _until(kind: inspect.StructType, *, whole: bool) -> int:
    """How many fields of a list stand before those that may be left out."""
    return len(kind.fields) if whole else sum(field.required for field in kind.fields)


def _fits(text: str, kind: inspect.StrType) -> bool:
    return kind.pattern is None or re.search(kind.pattern, text) is not None


def includes(newer: Any, older: Any) -> bool:
    """Whether everything that one says is in the other, which may have more fields."""
    if isinstance(older, msgspec.Struct):
        return all(
            hasattr(newer, name) and includes(getattr(newer, name), getattr(older, name))
            for name in older.__struct_fields__
        )
    if isinstance(older, dict) and isinstance(newer, dict):
        return all(name in newer and includes(newer[name], value) for name, value in older.items())
    if isinstance(older, list | tuple) and isinstance(newer, list | tuple):
        return len(newer) == len(older) and all(map(includes, newer, older))
    return bool(newer == older)
