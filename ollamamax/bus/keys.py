"""Every Redis key and channel of OllamaMax, in one place, with who may touch it.

A node's Redis user (see :func:`node_acl`) reaches the keys whose name holds its own id, and no other.
"""

from __future__ import annotations

DIRECTORY_CHANNEL = "omx:dir"
DIRECTORY_VERSION = "omx:dir:version"
WORK_CALLS = "omx:work"
"""Channel: a kind of work, of which there is some (`ollamamax.bus.work_calls`)."""
OPEN = "omx:open"
"""Hash, request id -> JSON of `ollamamax.contract.OpenRequest`: admitted and not yet settled."""
USAGE = "omx:usage"
"""Stream of settled requests waiting for Postgres; field ``r`` holds JSON of `ollamamax.contract.UsageRecord`."""

PROMPTS = "omx:prompts"
"""Stream of prompts that wait for Postgres; field ``r`` holds MessagePack of `ollamamax.contract.prompts.SealedPrompt`."""
LARGE = "omx:large"
"""Sorted set, `<tenant> <request>` -> bytes of its ticket: large ones, from admission until the request is over."""
RESERVED = "omx:budget:reserved"
"""Hash, request id -> MessagePack of what it has reserved of budgets (`cluster/dispatch/budgets.lua`), until it is settled."""
BUDGETS_TOLD = "omx:budget:told"
"""Stream of budgets of which so much is spent that somebody is to be told; the loop `metering.tell_budgets` takes them."""
USAGE_REFUSED = "omx:usage:refused"
"""Stream of records that Postgres refused, for a person to look at."""
KEYS_USED = "omx:key:used"
"""Hash, id of an API key -> Unix seconds of its last use; moved to Postgres by `identity.keep_accounts`."""
RELOADS_AVOIDED = "omx:reloads:avoided"
"""Hash, `named` model -> how many requests were served without the reload that their load options would have caused."""
REQUESTS_COUNTED = "omx:requests:counted"
"""Hash: how every request of a client ended (its route, a space, its outcome, a space, its HTTP status) -> how many did, and under the
route and ``ignored_fields`` how many fields of their bodies had no effect."""
ENDED = "omx:ended"
"""List of `ollamamax.contract.measured.EndedBatch`, one for each gateway and second in which requests ended, oldest first; the loop `cluster.watch_fleet` takes them."""
ENDED_TAKEN = "omx:ended:taken"
"""Those of them that the loop has taken and not yet written into the history."""
HEALTH = "omx:health"
"""Hash, tenant -> JSON of `ollamamax.contract.health.FleetHealth`; under ``""`` that of the control plane itself."""
HEALTH_MEMORY = "omx:health:memory"
"""MessagePack of `cluster.health.memory.Memory`: what the judge goes on from when another process leads."""
FAILED_JOBS = "omx:health:jobs"
"""Hash, tenant -> JSON list of `ollamamax.contract.health.FailedJob`."""
NODE_RIGHTS = "omx:node-rights"
"""Hash, Redis user of a node -> digest of what it was granted: another version of this program may grant something else."""
NODE_RIGHTS_SERVER = "omx:node-rights-server"
"""The server (its run id) whose users `NODE_RIGHTS` tells of, where Sentinels name it."""
NODE_FAULTS = "omx:node-faults"
"""Hash, node -> JSON of `ollamamax.contract.Fault`: what gateways did not take of its words, lately."""
NODES_CUT = "omx:nodes-cut"
"""Hash, node -> JSON of `ollamamax.contract.Cut`: it used more than it may, and its Redis user is off for a while."""
GATEWAYS = "omx:gateways"
"""Set of the gateway processes that run, or died and left something open."""
LIVE_WATCHED = "omx:live:watched"
"""Sorted set, tenant -> Unix time until which somebody has its live page open."""


def ended_number(gateway: str) -> str:
    """The number of the last `EndedBatch` that this gateway process wrote."""
    return f"omx:ended:number:{gateway}"


def history(hour: int, series: str) -> str:
    """Entries (`ollamamax.contract.history`) of a series of one hour, by its number since 1970: appended, and compressed once it is over."""
    return f"omx:history:{hour}:{series}"


def history_series(hour: int) -> str:
    """Hash, series of that hour that are not in Postgres yet -> its tenant."""
    return f"omx:history:{hour}"


def directory(table: str) -> str:
    """Hash of one table of the directory: what the data plane needs of the control plane."""
    return f"omx:dir:{table}"


def named(tenant: str, model: str) -> str:
    """A tenant's full model name as a field of a hash."""
    return f"{tenant}/{model}"


def gateway_writes(gateway: str) -> str:
    """Written to see whether anything can be."""
    return f"omx:gw:{gateway}:writes"


def gateway_alive(gateway: str) -> str:
    """Lease of a gateway process, renewed each second."""
    return f"omx:gw:{gateway}:alive"


def gateway_orders(gateway: str) -> str:
    """Pub/sub to a gateway: JSON of `ollamamax.contract.GatewayOrder`."""
    return f"omx:gw:{gateway}:orders"


GATEWAYS_LOOKED_AT = "omx:gateways:looked_at"
"""Lapses when nobody has looked for dead gateways for a while."""


def gateway_missed(gateway: str) -> str:
    """When the gateway was first missed: the run id of Redis, a space, and its Unix time."""
    return f"omx:gw:{gateway}:missed"


def description(question: str) -> str:
    """List, short-lived: JSON of `ollamamax.contract.Described`, what a gateway answers to a question of the control plane."""
    return f"omx:described:{question}"


def node_state(node: str) -> str:
    """JSON of `ollamamax.contract.NodeState` with a time to live: the node's telemetry and its lease."""
    return f"omx:node:{node}:state"


def node_brief(node: str) -> str:
    """JSON of `ollamamax.contract.StateBrief`, with the same time to live: what control loops read of each node each second."""
    return f"omx:node:{node}:brief"


def node_state_channel(node: str) -> str:
    """Pub/sub: each state as the node writes it."""
    return f"omx:state:{node}"


def node_inbox(node: str) -> str:
    """List of tickets for the node, oldest first."""
    return f"omx:node:{node}:inbox"


def node_claimed(node: str) -> str:
    """List of tickets that the node took and has not finished."""
    return f"omx:node:{node}:claimed"


def node_drain(node: str) -> str:
    """Lease of the running ``drain_inbox`` task; while it stands no other is sent."""
    return f"omx:node:{node}:drain"


def node_slots(node: str) -> str:
    """Set of the request ids that were given to the node and are not settled. The control plane's: no node reaches it."""
    return f"omx:slots:{node}"


def node_done(node: str) -> str:
    """Short stream of how tickets ended, written by the node: settles what a lost gateway left open."""
    return f"omx:node:{node}:done"


def node_control(node: str) -> str:
    """Pub/sub to the node: cancel, resend."""
    return f"omx:ctl:{node}"


def node_fault(node: str) -> str:
    """JSON of `ollamamax.contract.experiment.FaultOrder` while a chaos experiment has the node suffer a fault; lapses unless it is renewed."""
    return f"omx:node:{node}:fault"


def node_queue(node: str) -> str:
    """The Celery queue that only this node reads."""
    return f"node.{node}"


def tokens(node: str, gateway: str) -> str:
    """Pub/sub from one node to one gateway process: batches of `ollamamax.contract.Frame`."""
    return f"omx:tok:{node}:{gateway}"


def log_answer(node: str, question: str) -> str:
    """Pub/sub from one node to who asked for its log: JSON of `ollamamax.contract.node_log.NodeLog`."""
    return f"omx:tok:{node}:log-{question}"


def log_read(principal: str, node: str, source: str) -> str:
    """Lapses: who reads a log does so again and again, and it is in the audit trail once in a while."""
    return f"omx:log-read:{principal}:{node}:{source}"


def recent(tenant: str) -> str:
    """Stream of the tenant's last settled requests, for the live page."""
    return f"omx:recent:{tenant}"


def live_numbers(tenant: str) -> str:
    """Hash, topic -> number of its last event."""
    return f"omx:live:{tenant}:numbers"


def live_events(tenant: str, topic: str) -> str:
    """Stream of the topic's last events, each with its number as id and its JSON under ``d``."""
    return f"omx:live:{tenant}:events:{topic}"


def live_series(tenant: str) -> str:
    """List of JSON points, one a second, the last five minutes: totals over the tenant's nodes."""
    return f"omx:live:{tenant}:series"


def fetch_asked(node: str, digest: str) -> str:
    """Lease: the control plane asked this node for this version a moment ago."""
    return f"omx:fetch:{node}:{digest}"


PLACEMENTS_APPLIED = "omx:placement:applied"
"""Set of tenants that had a plan of placement carried out and may have steps left."""


def placement_applied(tenant: str) -> str:
    """There while the tenant's plan of placement is carried out because somebody applied it."""
    return f"omx:placement:{tenant}:applied"


def placement_asked(node: str, digest: str) -> str:
    """Lease: the control plane asked this node to load or unload this version a moment ago."""
    return f"omx:placement:{node}:{digest}:asked"


def scaling(tenant: str) -> str:
    """Hash of a tenant's versions: digest -> what autoscaling decided of it last, and what keeping it warm is worth (`models_registry.queries.scaling`)."""
    return f"omx:scaling:{tenant}"


def fetch_failed(node: str, digest: str) -> str:
    """Count: how many times in a row this node was asked again for this version because it failed to get it."""
    return f"omx:fetch:{node}:{digest}:failed"


def node_orders(node: str) -> str:
    """Hash, order -> JSON of `ollamamax.contract.OrderState`: how far the node's engine is with what jobs ordered of it."""
    return f"omx:node:{node}:orders"


def transfers_of_region(tenant: str, region: str) -> str:
    """Unix seconds at which all bytes will have come that the tenant's nodes of the region were given leave to take."""
    return f"omx:transfers:{tenant}:{region}"


def waiting_transfers(tenant: str, region: str) -> tuple[str, str]:
    """Of the tenant's nodes of the region that got no leave: since when each waits, and when it is waited for no more, in Unix seconds."""
    return f"omx:transfers_waiting:{tenant}:{region}", f"omx:transfers_waited:{tenant}:{region}"


def version_made(tenant: str, digest: str) -> str:
    """Lease: a job makes this version, and points a name at it when a node can serve it; nodes fetch it meanwhile."""
    return f"omx:made:{tenant}:{digest}"


def signature_used(signature: str) -> str:
    """There while a request of Ollama's client with this signature (its sha256) could be sent again."""
    return f"omx:signed:{signature}"


def removal_asked(node: str, digest: str) -> str:
    """Lease: the control plane asked this node to remove this version a moment ago."""
    return f"omx:remove:{node}:{digest}"


def live_said(tenant: str, part: str) -> str:
    """Hash: what the last events of these topics said, row by row (JSON), which the next ones are compared with."""
    return f"omx:live:{tenant}:said:{part}"


def live_mark(tenant: str, part: str) -> str:
    """There while `live_said` is of a moment ago; without it, the next events are told whole."""
    return f"omx:live:{tenant}:mark:{part}"


WAITING = "omx:queue:waiting"
"""Sorted set, request id -> Unix seconds of its receipt: every request that waits for a slot."""
ABANDONED = "omx:queue:abandoned"
"""Hash, request id -> its admission (MessagePack): lost their place with their gateway's lease, and still owe their usage record."""
QUARANTINED = "omx:quarantined"
"""Sorted set of requests (tenant, a colon, a hash) that broke several nodes -> Unix seconds until which they are refused."""
SUSPECTED = "omx:suspected"
"""The same, of requests that died together with others -> Unix seconds until which they get one try."""
WORK = "omx:queue:work"
"""Hash, tenant -> its virtual time: the work it was given over its weight. Under ``""`` the highest at which one was served."""


def queue_entry(request: str) -> str:
    """Hash of one waiting request: ``a`` its admission (MessagePack), ``t`` its ticket, ``id`` the ticket's id."""
    return f"omx:queue:entry:{request}"


def queue_tenant(tenant: str) -> str:
    """Sorted set of the tenant's waiting requests, in the order in which it is served."""
    return f"omx:queue:tenant:{tenant}"


def queue_node(node: str) -> str:
    """Set of tenants that have requests waiting for the node."""
    return f"omx:queue:node:{node}"


def queue_node_tenant(node: str, tenant: str) -> str:
    """Sorted set of the tenant's requests that wait for the node, in the order in which the tenant is served."""
    return f"omx:queue:node:{node}:{tenant}"


def kept(node: str) -> str:
    """Sorted set of the node's slots that are kept for tenants that left them (tenant, a space, the ticket that ended) -> Unix seconds until when."""
    return f"omx:kept:{node}"


def returns(tenant: str) -> str:
    """Hash: ``until`` when the tenant is back in time, and in which ``share`` of the last times it was."""
    return f"omx:returns:{tenant}"


def granted(gateway: str) -> str:
    """Pub/sub to a gateway: ticket id, a space, and the node that a waiting ticket was given to."""
    return f"omx:granted:{gateway}"


def active(owner: str) -> str:
    """Set of the request ids of a key or a tenant that run or wait."""
    return f"omx:active:{owner}"


def rate(what: str, owner: str) -> str:
    """Theoretical arrival time (Unix seconds) of a key's or a tenant's ``requests`` or ``tokens``."""
    return f"omx:rate:{what}:{owner}"


def spent(budget: str, window: str) -> str:
    """Hash: of a budget in one window (its first day since 1970) what is ``used`` and ``reserved``, and what was told of it."""
    return f"omx:budget:spent:{budget}:{window}"


def drained(version: str) -> str:
    """Hash: how many requests of the version end in a second (``rate``), when that was last counted (``at``), and ``since`` when."""
    return f"omx:drained:{version}"


LOOPS_LEASE = "omx:loops:lease"
"""The process that leads those control loops of this region that need Redis alone."""
LOOPS_FENCE = "omx:loops:fence"
"""Number of its leadership; grows with every new leader."""
FAULTS_FENCE = "omx:faults:fence"
"""The highest number of a leadership that ordered a fault: orders of a lower one are not written."""
LOOPS = "omx:loops"
"""Hash, loop -> JSON of `ollamamax.contract.loop_state.LoopState`: how each control loop's last run went."""


def node_transport_options(node: str) -> dict[str, object]:
    """Celery transport options for a node's queue: one list and its binding, nothing besides.

    Messages are not kept until acknowledged: each only says "look", and what it points to is found again without it.
    """
    return {"priority_steps": [0], "ack_emulation": False}


_CONNECTION = (
    *("auth", "hello", "ping", "client|setinfo"),
    *("unwatch", "multi", "exec", "discard"),
    *("publish", "subscribe", "unsubscribe", "time"),
)


def node_user(node: str) -> str:
    """The node's Redis user."""
    return f"node.{node}"


def node_measured(node: str) -> list[str]:
    """Those of its keys into which a node writes what it likes, those that must lapse first; as many for each node."""
    queue = node_queue(node)
    return [
        *(node_state(node), node_brief(node), node_drain(node), node_done(node), node_orders(node)),
        *(queue, f"_kombu.binding.{queue}", f"_kombu.binding_permanent.{queue}"),
    ]


def node_keys(node: str) -> list[str]:
    """Every key into which a node's user, or the control plane for it, writes. Who takes a node out deletes all of them."""
    return [*node_measured(node), node_inbox(node), node_claimed(node), node_fault(node)]


def _node_rights(node: str) -> list[tuple[tuple[str, ...], list[str]]]:
    """Commands, and the keys on which a node may use them.

    Of its tickets a node can only move and remove what was put there: nothing of the control plane's reads a key into which it wrote
    what it likes, but for its state, its ends of tickets and its orders, which are checked where they are read.
    """
    queue = node_queue(node)
    return [
        # what it says of itself, and the lease of its drain
        (("set",), [node_state(node), node_brief(node), node_drain(node)]),
        # what is its own it may always remove
        (("del",), [f"omx:node:{node}:*"]),
        # tickets
        (("blmove", "lmove", "lrange", "llen", "lrem", "watch"), [node_inbox(node), node_claimed(node)]),
        (("xadd",), [node_done(node)]),
        (("hset", "hdel", "expire"), [node_orders(node)]),
        # faults of experiments, which the control plane alone writes
        (("get",), [node_fault(node)]),
        # kombu: messages, the queue's binding
        (("brpop", "lpush", "rpush", "llen"), [queue]),
        (("sadd", "smembers"), [f"_kombu.binding.{queue}", f"_kombu.binding_permanent.{queue}"]),
    ]


def node_acl(node: str, database: int = 0) -> list[str]:
    """Redis ACL rules (`ACL SETUSER`) for one node: the commands it uses, each on those of its own keys where it uses it.

    ``database`` is the number of the only one that it may choose: in another nobody would measure or remove its keys.

    Keys are named exactly, but for what it may only remove, one selector for each use (Redis 7, https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/#selectors).
    Commands are listed one by one: ``+@write`` would let a node change the server's functions, ``+@read`` count the
    keys of all others.
    """
    return [
        "resetkeys",
        "resetchannels",
        "clearselectors",
        "-@all",
        *(f"+{command}" for command in _CONNECTION),
        f"+select|{database}",
        f"&{node_control(node)}",
        f"&{node_state_channel(node)}",
        f"&omx:tok:{node}:*",
        *(
            f"({' '.join([*(f'+{command}' for command in commands), *(f'~{key}' for key in names)])})"
            for commands, names in _node_rights(node)
        ),
    ]
