"""The table of metrics: what each is called, what it counts, by which labels, and which process gives it. Nothing else is exposed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
ProcessName = Literal["web", "gateway", "batches", "controller", "node"]

PROCESSES: tuple[ProcessName, ...] = ("web", "gateway", "batches", "controller", "node")
ASKS: tuple[ProcessName, ...] = ("web", "gateway", "batches")
"""Processes that ask nodes: each has a gateway in it."""
LOOPS: tuple[ProcessName, ...] = ("web", "gateway", "batches", "node")
"""Processes with one event loop, on which everything of theirs waits."""
DATABASE: tuple[ProcessName, ...] = ("web", "batches", "controller")

OTHER = "other"
"""What a value is called that is beyond the number of values that are told apart."""


@dataclass(frozen=True)
class Label:
    """``values``: all that it can have; ``None``: ``most`` says how many."""

    help: str
    values: tuple[str, ...] | None = None
    most: str = ""


@dataclass(frozen=True)
class Metric:
    """``buckets``: upper bounds of a histogram, in the unit of its name."""

    name: str
    kind: Kind
    help: str
    given_by: tuple[ProcessName, ...]
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_CAP = "`OLLAMAMAX_METRICS_VALUES` in each process"
_FLEET = "those of the nodes that there are"
_CODE = "names that are written in the code"
LABELS: dict[str, Label] = {
    "process": Label("Kind of process.", PROCESSES),
    "version": Label("Release of the program.", None, "one in each process"),
    "api": Label("Route of the inference APIs, as `/v1/chat/completions`; `other` for what is none.", None, _CODE),
    "protocol": Label("Whose API it is.", ("openai", "anthropic", "ollama", OTHER)),
    "outcome": Label("How it ended.", ("ok", "refused", "cancelled", "failed", "node_lost")),
    "status": Label("Class of the HTTP status.", ("2xx", "3xx", "4xx", "5xx", OTHER)),
    "code": Label("Code of an error, or of a finding of health; one that is not ours is `other`.", None, _CODE),
    "priority": Label("Priority of the request.", ("high", "normal", "low")),
    "admission": Label(
        "`at_once`: it had a slot when it came; `waited`: it had a place in the queue first; `none`: it never had a slot.",
        ("at_once", "waited", "none"),
    ),
    "reason": Label("What put the node before the next in the ranking.", None, _CODE),
    "model": Label("Name of a model, as the tenant's requests name it.", None, _CAP),
    "tenant": Label("Id of a tenant, 32 hexadecimal digits.", None, _CAP),
    "kind": Label("Which tokens: those of the prompt, those that were generated, those that the engine had kept.", ("prompt", "completion", "cached")),
    "phase": Label("Which part of the engine's work.", ("load", "prompt", "generation")),
    "by": Label("Who ended it.", ("client", "management", "deadline", OTHER)),
    "shadow": Label(
        "`ok` and `failed`: a node ran it; `not_idle`: no node had a slot that nobody waits for; `no_room`: too many ran at once in this process.",
        ("ok", "failed", "not_idle", "no_room"),
    ),
    "loop": Label("Name of a control loop.", None, _CODE),
    "region": Label("Region; `none` for one without a name.", None, "one for each region"),
    "result": Label("How it went.", None, _CODE),
    "lease": Label("Which lease: of a region's Redis, or of Postgres.", None, "one for each region"),
    "severity": Label("How grave a finding is.", ("critical", "warning", "notice")),
    "condition": Label(
        "How a node is. A node counts once, in the first of: silent, unhealthy, draining, degraded, healthy.",
        ("healthy", "degraded", "draining", "unhealthy", "silent"),
    ),
    "node": Label("Id of a node, 32 hexadecimal digits.", None, _FLEET),
    "name": Label("Name of a node, as its tenant gave it, or of a GPU, as its vendor did.", None, _FLEET),
    "agent": Label("Release of a node's agent.", None, _FLEET),
    "engine": Label("Kind of engine.", ("ollama", "llamacpp", "openai")),
    "gpu": Label("Number of a GPU on its node.", None, _FLEET),
    "method": Label("How somebody logged in.", ("password", "oidc", "saml", "ldap", OTHER)),
    "area": Label("What an audit record is about: the part of its action before the dot.", None, _CODE),
    "job": Label("Kind of a registry's job.", None, _CODE),
}  # fmt: skip

_QUICK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_FIRST = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TOKEN = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)

_CONTROLLER: tuple[ProcessName, ...] = ("controller",)
_WEB: tuple[ProcessName, ...] = ("web",)
_NODE: tuple[ProcessName, ...] = ("node",)

METRICS: tuple[Metric, ...] = (
    # -- every process
    Metric("ollamamax_build_info", "gauge", "1, with the kind of the process and its release.", PROCESSES, ("process", "version")),
    Metric("ollamamax_event_loop_lag_seconds", "histogram", "How much later than due a timer of the event loop ran, twice a second.", LOOPS, (), _QUICK),
    Metric("ollamamax_redis_round_trip_seconds", "histogram", "How long Redis took to answer what this process asks of it each second.", PROCESSES, (), _QUICK),
    Metric("ollamamax_redis_failures_total", "counter", "Times that Redis did not answer what this process asks of it each second, or refused it.", PROCESSES),
    Metric("ollamamax_postgres_pool_connections", "gauge", "Connections to Postgres that the process has open.", DATABASE),
    Metric("ollamamax_postgres_pool_available", "gauge", "Of those the ones that nobody uses now.", DATABASE),
    Metric("ollamamax_postgres_pool_waiting", "gauge", "Threads that wait for a connection to Postgres.", DATABASE),
    Metric("ollamamax_postgres_pool_wait_seconds_total", "counter", "Seconds for which threads have waited for a connection to Postgres.", DATABASE),
    Metric("ollamamax_postgres_pool_failures_total", "counter", "Times that no connection to Postgres could be had in time.", DATABASE),
    # -- requests, where they end
    Metric("ollamamax_requests_total", "counter", "Requests that ended, refused ones too.", ASKS, ("api", "outcome", "status")),
    Metric("ollamamax_request_errors_total", "counter", "Requests that did not end well, by the code that their client was told.", ASKS, ("code",)),
    Metric("ollamamax_request_duration_seconds", "histogram", "From receipt to end.", ASKS, ("protocol",), _LONG),
    Metric("ollamamax_time_to_first_token_seconds", "histogram", "From receipt until the first token came, of answers that came in parts.", ASKS, ("model",), _FIRST),
    Metric("ollamamax_time_per_output_token_seconds", "histogram", "Mean time between two tokens of one answer, without its first.", ASKS, ("model",), _TOKEN),
    Metric("ollamamax_tokens_total", "counter", "Tokens of requests that ended.", ASKS, ("model", "kind")),
    Metric("ollamamax_tenant_requests_total", "counter", "Requests of a tenant that ended, refused ones too.", ASKS, ("tenant", "outcome")),
    Metric("ollamamax_tenant_tokens_total", "counter", "Tokens of a tenant's requests that ended.", ASKS, ("tenant", "kind")),
    Metric("ollamamax_admissions_total", "counter", "Requests that asked for a node's slot, and how they had it.", ASKS, ("admission",)),
    Metric("ollamamax_admission_seconds", "histogram", "From receipt until a node was given it, of those that did not have to wait: parsing, routing, admission.", ASKS, (), _QUICK),
    Metric("ollamamax_queue_wait_seconds", "histogram", "From admission until a node was given it, of those that had to wait.", ASKS, ("priority",), _LONG),
    Metric("ollamamax_routed_total", "counter", "Attempts that nodes were given, by the reason of the choice.", ASKS, ("reason",)),
    Metric("ollamamax_retries_total", "counter", "Attempts that failed and were made again on another node, by the code of the failure.", ASKS, ("code",)),
    Metric("ollamamax_continuations_total", "counter", "Answers that another node went on with.", ASKS),
    Metric("ollamamax_shadow_requests_total", "counter", "Requests that were to be run again on the version of a rollout, unseen: what became of that.", ASKS, ("shadow",)),
    Metric("ollamamax_cancellations_total", "counter", "Requests that somebody ended before they were answered.", ASKS, ("by",)),
    Metric("ollamamax_engine_seconds", "histogram", "What engines say that a part of their work took, for requests that ended well.", ASKS, ("phase",), _LONG),
    # -- what a process that asks nodes holds
    Metric("ollamamax_open_requests", "gauge", "Requests that this process answers now.", ASKS),
    Metric("ollamamax_waiting_requests", "gauge", "Of those the ones that wait for a slot.", ASKS),
    Metric("ollamamax_unsettled_requests", "gauge", "Usage records that could not be written to Redis yet.", ASKS),
    Metric("ollamamax_reachable_nodes", "gauge", "Nodes that this process hears and may give requests.", ASKS),
    Metric("ollamamax_parts_down", "gauge", "Parts of this process that do not work now: why `/readyz` is 503.", ASKS),
    Metric("ollamamax_prompts_lost_total", "counter", "Prompts that were to be kept and could not be: the log says why.", ASKS),
    # -- identity and audit
    Metric("ollamamax_log_ins_total", "counter", "Attempts to log in: `ok`, `refused`, or `locked_out` before the password was looked at.", _WEB, ("method", "result")),
    Metric("ollamamax_audit_records_total", "counter", "Records that this process added to the audit trail.", DATABASE, ("area",)),
    # -- the control loops
    Metric("ollamamax_loop_runs_total", "counter", "Runs of a control loop.", _CONTROLLER, ("loop", "region", "result")),
    Metric("ollamamax_loop_duration_seconds", "histogram", "How long runs of a control loop took.", _CONTROLLER, ("loop",), (0.01, 0.05, 0.25, 1.0, 5.0, 30.0)),
    Metric("ollamamax_loop_lag_seconds", "gauge", "How much later than due the last run of a control loop began.", _CONTROLLER, ("loop", "region")),
    Metric("ollamamax_loop_last_success_timestamp_seconds", "gauge", "When a run of a control loop ended well last in this process, in Unix seconds.", _CONTROLLER, ("loop", "region")),
    Metric("ollamamax_loop_interval_seconds", "gauge", "How often a control loop runs.", _CONTROLLER, ("loop",)),
    Metric("ollamamax_leader", "gauge", "1 where this process holds the lease.", _CONTROLLER, ("lease",)),
    Metric("ollamamax_jobs_total", "counter", "Jobs of the registry (pulls, pushes, creations, deletions) that this process ended.", _CONTROLLER, ("job", "result")),
    Metric("ollamamax_usage_written_total", "counter", "Usage records that this process wrote to Postgres.", _CONTROLLER),
    # -- the fleet, as the controller that leads sees it
    Metric("ollamamax_fleet_looked_timestamp_seconds", "gauge", "When the fleet was looked at last, in Unix seconds.", _CONTROLLER, ("region",)),
    Metric("ollamamax_health_findings", "gauge", "Findings of health, of nodes, models, tenants and the control plane.", _CONTROLLER, ("region", "code", "severity")),
    Metric("ollamamax_nodes", "gauge", "Nodes of the fleet.", _CONTROLLER, ("region", "condition")),
    Metric("ollamamax_queue_length", "gauge", "Requests that wait for a slot, of all tenants.", _CONTROLLER, ("region",)),
    Metric("ollamamax_tenant_queue_length", "gauge", "Requests of a tenant that wait for a slot.", _CONTROLLER, ("region", "tenant")),
    Metric("ollamamax_celery_messages", "gauge", "Celery messages that nodes have not taken yet.", _CONTROLLER, ("region",)),
    Metric("ollamamax_usage_records_waiting", "gauge", "Usage records that Postgres has not taken yet.", _CONTROLLER, ("region",)),
    Metric("ollamamax_usage_records_refused", "gauge", "Usage records that Redis or Postgres refused, kept for a person to look at.", _CONTROLLER, ("region",)),
    Metric("ollamamax_failed_jobs", "gauge", "Jobs of the registry that failed and that nobody has repeated with success since.", _CONTROLLER, ("region",)),
    Metric("ollamamax_model_nodes", "gauge", "Nodes that have a tenant's model.", _CONTROLLER, ("region", "tenant", "model")),
    Metric("ollamamax_fetching_versions", "gauge", "Versions of models that some node fetches now.", _CONTROLLER, ("region",)),
    Metric("ollamamax_node_info", "gauge", "1, with what a node is called, whose it is, where it is, and its agent's release.", _CONTROLLER, ("region", "node", "name", "tenant", "agent")),
    Metric("ollamamax_node_up", "gauge", "1 where a node tells its state, and it makes sense.", _CONTROLLER, ("node",)),
    Metric("ollamamax_node_health", "gauge", "0 healthy, 1 degraded, 2 unhealthy.", _CONTROLLER, ("node",)),
    Metric("ollamamax_node_draining", "gauge", "1 where a node takes no new requests because somebody drains it.", _CONTROLLER, ("node",)),
    Metric("ollamamax_node_slots", "gauge", "Requests that a node runs at once.", _CONTROLLER, ("node",)),
    Metric("ollamamax_node_running", "gauge", "Requests that a node runs.", _CONTROLLER, ("node",)),
    Metric("ollamamax_node_waiting", "gauge", "Requests in a node's inbox.", _CONTROLLER, ("node",)),
    Metric("ollamamax_node_tokens_total", "counter", "Tokens that a node has generated since its agent began.", _CONTROLLER, ("node",)),
    Metric("ollamamax_node_cpu_ratio", "gauge", "Part of a node's processors that is in use.", _CONTROLLER, ("node",)),
    Metric("ollamamax_node_memory_used_bytes", "gauge", "Memory of a node's host that programs cannot have.", _CONTROLLER, ("node",)),
    Metric("ollamamax_node_memory_bytes", "gauge", "Memory of a node's host.", _CONTROLLER, ("node",)),
    Metric("ollamamax_node_disk_used_bytes", "gauge", "Used bytes of the disk that a node's models are on.", _CONTROLLER, ("node",)),
    Metric("ollamamax_node_disk_bytes", "gauge", "Size of the disk that a node's models are on.", _CONTROLLER, ("node",)),
    Metric("ollamamax_node_clock_skew_seconds", "gauge", "By how much a node's clock is ahead of Redis's.", _CONTROLLER, ("node",)),
    Metric("ollamamax_engine_up", "gauge", "1 where a node's engine works.", _CONTROLLER, ("node", "engine")),
    Metric("ollamamax_engine_cache_ratio", "gauge", "Used part of an engine's key-value cache, where it tells.", _CONTROLLER, ("node", "engine")),
    Metric("ollamamax_gpu_info", "gauge", "1, with what a GPU is called.", _CONTROLLER, ("node", "gpu", "name")),
    Metric("ollamamax_gpu_load_ratio", "gauge", "Part of the time for which a GPU computed.", _CONTROLLER, ("node", "gpu")),
    Metric("ollamamax_gpu_memory_used_bytes", "gauge", "Used memory of a GPU.", _CONTROLLER, ("node", "gpu")),
    Metric("ollamamax_gpu_memory_bytes", "gauge", "Memory of a GPU.", _CONTROLLER, ("node", "gpu")),
    Metric("ollamamax_gpu_temperature_celsius", "gauge", "Temperature of a GPU.", _CONTROLLER, ("node", "gpu")),
    Metric("ollamamax_gpu_power_watts", "gauge", "Power that a GPU draws.", _CONTROLLER, ("node", "gpu")),
    Metric("ollamamax_gpu_throttled", "gauge", "1 where a GPU runs slower than it could.", _CONTROLLER, ("node", "gpu")),
    Metric("ollamamax_gpu_ecc_errors_total", "counter", "Uncorrected memory errors of a GPU since its driver was loaded.", _CONTROLLER, ("node", "gpu")),
    # -- the agent of a node
    Metric("ollamamax_agent_tickets_total", "counter", "Tickets that this node's agent ended.", _NODE, ("outcome",)),
    Metric("ollamamax_agent_running", "gauge", "Tickets that this node's agent runs.", _NODE),
    Metric("ollamamax_agent_slots", "gauge", "Tickets that it runs at once.", _NODE),
    Metric("ollamamax_agent_tokens_total", "counter", "Tokens that it has generated.", _NODE),
)  # fmt: skip

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}
GENAI: dict[str, tuple[str, dict[str, str]]] = {
    "ollamamax_time_to_first_token_seconds": (
        "gen_ai_server_time_to_first_token_seconds",
        {"model": "gen_ai_request_model"},
    ),
    "ollamamax_time_per_output_token_seconds": (
        "gen_ai_server_time_per_output_token_seconds",
        {"model": "gen_ai_request_model"},
    ),
}
"""Our metric -> OpenTelemetry's name for the same (GenAI semantic conventions, schema v0.1.0) and for its labels."""
