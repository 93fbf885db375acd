"""Asks a node for its log, live: nothing of it is kept here."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction
from redis.exceptions import RedisError

from cluster.queries.node import get_node
from cluster.telemetry import ignore
from ollamamax import contract, logs
from ollamamax.audit.actions import record
from ollamamax.bus import keys, regions
from ollamamax.bus.question import first_answer
from ollamamax.contract.from_node import Nonsense, decode_node_log
from ollamamax.contract.node_log import MOST_LOG_BYTES, LogSource, NodeLog
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.roles import reference
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Overloaded, Unavailable
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.principal import Principal

ANSWER_SECONDS = 4.0
AUDITED_EACH = 600
"""Seconds: whoever follows a log reads it every few of them, and is told of once in so many."""
AT_ONCE = 8
"""Questions under way in this process."""
TENANT_AT_ONCE = 3
_lock = threading.Lock()
_readers: Counter[uuid.UUID] = Counter()
_log = logs.get(__name__)


def read_node_log(*, acting: Principal, node_id: uuid.UUID, source: LogSource, after: int = 0) -> NodeLog:
    """The last lines of the agent's or the engine's log after number ``after``, as the node tells them.

    Raises `Forbidden`, `NotFound`, and `Unavailable` for a node that does not answer, as one of an older version does not.
    """
    tenant = require_in_tenant(acting, "node.manage", reference("node", node_id))
    with tenant_scope(tenant):
        node = get_node(acting, node_id)
    try:
        client = regions.own().client
        first = client.set(keys.log_read(acting.id, node.id.hex, source), 1, nx=True, ex=AUDITED_EACH)
        if first:
            with tenant_scope(tenant), transaction.atomic(durable=True):
                record(
                    acting=acting,
                    action="node.read_log",
                    target_type="node",
                    target_id=node.id,
                    tenant=tenant,
                    detail={"name": node.name, "source": source},
                )
        with _reading(tenant):
            return _asked(node.id.hex, source, after)
    except RedisError as error:
        _log.warning("node_log_unreadable", node=node.id.hex, error=str(error))
        raise Unavailable("The node cannot be reached right now.", retry_after=1) from error


@contextmanager
def _reading(tenant: uuid.UUID) -> Iterator[None]:
    """One question under way, which holds a thread of this process for as long as the node takes, and no connection to Postgres. Raises `Overloaded`."""
    with _lock:
        if _readers.total() >= AT_ONCE or _readers[tenant] >= TENANT_AT_ONCE:
            raise Overloaded("Too many logs of nodes are being read right now.", retry_after=ANSWER_SECONDS)
        _readers[tenant] += 1
    try:
        if not connection.in_atomic_block:
            connection.close()
        yield
    finally:
        with _lock:
            _readers[tenant] -= 1
            if not _readers[tenant]:
                del _readers[tenant]


def _asked(node: str, source: LogSource, after: int) -> NodeLog:
    question = new_id()
    order = contract.encode_control(contract.Control("log", question, seq=after, source=source))
    answers = keys.log_answer(node, question)
    said = first_answer(
        regions.own().redis_url,
        keys.node_control(node),
        order,
        heard_on=answers,
        seconds=ANSWER_SECONDS,
        most=MOST_LOG_BYTES,
    )
    if said is None:
        raise Unavailable(
            "The node does not answer: it is away, or its agent is too old to tell its log.", retry_after=5
        )
    try:
        return decode_node_log(said)
    except Nonsense as error:
        ignore(node, error.reason)
        raise Unavailable("What the node says of its log cannot be read.", retry_after=5) from None
