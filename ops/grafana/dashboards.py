"""Writes the dashboards: `python ops/grafana/dashboards.py`. Each panel is a title, a unit, and queries; the rest is Grafana's form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${source}"}

Panel = tuple[str, str, list[tuple[str, str]]]
"""Title, Grafana's name of the unit, and each query with its legend."""

_NAMED = "* on (node) group_left (name) ollamamax_node_info"


def _quantiles(name: str, by: str = "") -> list[tuple[str, str]]:
    grouped = f"{by}, le" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return [
        (f"histogram_quantile({share}, sum by ({grouped}) (rate({name}_bucket[$__rate_interval])))", f"{what}{legend}")
        for share, what in (("0.5", "half"), ("0.95", "95 %"), ("0.99", "99 %"))
    ]


DASHBOARDS: dict[str, list[Panel]] = {
    "Fleet": [
        ("Nodes by condition", "short", [("sum by (condition) (ollamamax_nodes)", "{{condition}}")]),
        ("Findings of health", "short", [('sum by (code, severity) (ollamamax_health_findings{code!="none"})', "{{code}} ({{severity}})")]),
        ("Running requests and slots", "short", [("sum(ollamamax_node_running)", "running"), ("sum(ollamamax_node_slots)", "slots")]),
        ("Requests in the queue", "short", [("sum(ollamamax_queue_length)", "waiting"), ("sum(ollamamax_celery_messages)", "Celery messages")]),
        ("Tokens a second", "short", [("sum(rate(ollamamax_node_tokens_total[$__rate_interval]))", "generated")]),
        ("Versions that are fetched, jobs that failed", "short", [("sum(ollamamax_fetching_versions)", "fetched"), ("sum(ollamamax_failed_jobs)", "failed jobs")]),
        ("Usage records that wait", "short", [("sum(ollamamax_usage_records_waiting)", "for Postgres"), ("sum(ollamamax_usage_records_refused)", "refused")]),
        ("Leaders", "short", [("sum by (lease) (ollamamax_leader)", "{{lease}}")]),
        ("Loops: seconds since they ended well", "s", [("time() - max by (loop) (ollamamax_loop_last_success_timestamp_seconds)", "{{loop}}")]),
        ("Loops: how late they begin", "s", [("max by (loop) (ollamamax_loop_lag_seconds)", "{{loop}}")]),
        ("Loops: runs that failed", "ops", [('sum by (loop) (rate(ollamamax_loop_runs_total{result="failed"}[$__rate_interval]))', "{{loop}}")]),
        ("Jobs that ended", "ops", [("sum by (job, result) (rate(ollamamax_jobs_total[$__rate_interval]))", "{{job}} {{result}}")]),
    ],
    "Gateway": [
        ("Requests a second by outcome", "reqps", [("sum by (outcome, status) (rate(ollamamax_requests_total[$__rate_interval]))", "{{outcome}} {{status}}")]),
        ("Requests a second by route", "reqps", [("sum by (api) (rate(ollamamax_requests_total[$__rate_interval]))", "{{api}}")]),
        ("Errors by code", "ops", [("sum by (code) (rate(ollamamax_request_errors_total[$__rate_interval]))", "{{code}}")]),
        ("Duration", "s", _quantiles("ollamamax_request_duration_seconds", "protocol")),
        ("Time to first token", "s", _quantiles("ollamamax_time_to_first_token_seconds")),
        ("Receipt until a node has it", "s", _quantiles("ollamamax_admission_seconds")),
        ("Wait in the queue", "s", _quantiles("ollamamax_queue_wait_seconds", "priority")),
        ("How slots were had", "ops", [("sum by (admission) (rate(ollamamax_admissions_total[$__rate_interval]))", "{{admission}}")]),
        ("Reasons of routing", "ops", [("sum by (reason) (rate(ollamamax_routed_total[$__rate_interval]))", "{{reason}}")]),
        ("Retries, continuations, cancellations", "ops", [
            ("sum by (code) (rate(ollamamax_retries_total[$__rate_interval]))", "retried after {{code}}"),
            ("sum(rate(ollamamax_continuations_total[$__rate_interval]))", "continued elsewhere"),
            ("sum by (by) (rate(ollamamax_cancellations_total[$__rate_interval]))", "cancelled by {{by}}"),
        ]),
        ("Shadows of rollouts, prompts lost", "ops", [
            ("sum by (shadow) (rate(ollamamax_shadow_requests_total[$__rate_interval]))", "shadow {{shadow}}"),
            ("sum(rate(ollamamax_prompts_lost_total[$__rate_interval]))", "prompts lost"),
        ]),
        ("Open and waiting requests", "short", [("sum by (instance) (ollamamax_open_requests)", "open {{instance}}"), ("sum by (instance) (ollamamax_waiting_requests)", "waiting {{instance}}"), ("sum by (instance) (ollamamax_unsettled_requests)", "unsettled {{instance}}")]),
        ("Nodes that gateways hear, parts that are down", "short", [("min(ollamamax_reachable_nodes)", "nodes"), ("max(ollamamax_parts_down)", "parts down")]),
        ("Event loop lag", "s", _quantiles("ollamamax_event_loop_lag_seconds", "instance")),
        ("Redis round trip", "s", _quantiles("ollamamax_redis_round_trip_seconds", "instance")),
        ("Connections to Postgres", "short", [("sum by (instance) (ollamamax_postgres_pool_connections)", "open {{instance}}"), ("sum by (instance) (ollamamax_postgres_pool_waiting)", "waiting {{instance}}")]),
        ("Memory of processes", "bytes", [('process_resident_memory_bytes{job="ollamamax"}', "{{process}} {{instance}}")]),
        ("Processor time", "percentunit", [('rate(process_cpu_seconds_total{job="ollamamax"}[$__rate_interval])', "{{process}} {{instance}}")]),
    ],
    "Models": [
        ("Tokens a second", "short", [("sum by (model, kind) (rate(ollamamax_tokens_total[$__rate_interval]))", "{{model}} {{kind}}")]),
        ("Time to first token, 95 %", "s", [("histogram_quantile(0.95, sum by (model, le) (rate(ollamamax_time_to_first_token_seconds_bucket[$__rate_interval])))", "{{model}}")]),
        ("Time between tokens, half", "s", [("histogram_quantile(0.5, sum by (model, le) (rate(ollamamax_time_per_output_token_seconds_bucket[$__rate_interval])))", "{{model}}")]),
        ("Nodes that have it", "short", [("max by (model) (ollamamax_model_nodes)", "{{model}}")]),
        ("Engines: load, prompt, generation, 95 %", "s", [("histogram_quantile(0.95, sum by (phase, le) (rate(ollamamax_engine_seconds_bucket[$__rate_interval])))", "{{phase}}")]),
        ("Prompt tokens that engines had kept", "percentunit", [('sum by (model) (rate(ollamamax_tokens_total{kind="cached"}[$__rate_interval])) / sum by (model) (rate(ollamamax_tokens_total{kind="prompt"}[$__rate_interval]))', "{{model}}")]),
    ],
    "Node": [
        ("Health (0 healthy, 1 degraded, 2 unhealthy)", "short", [(f"ollamamax_node_health {_NAMED}", "{{name}}")]),
        ("Up, draining", "short", [(f"ollamamax_node_up {_NAMED}", "{{name}} up"), (f"ollamamax_node_draining {_NAMED}", "{{name}} draining")]),
        ("Running, slots, inbox", "short", [(f"ollamamax_node_running {_NAMED}", "{{name}} running"), (f"ollamamax_node_slots {_NAMED}", "{{name}} slots"), (f"ollamamax_node_waiting {_NAMED}", "{{name}} inbox")]),
        ("Tokens a second", "short", [(f"rate(ollamamax_node_tokens_total[$__rate_interval]) {_NAMED}", "{{name}}")]),
        ("Processors", "percentunit", [(f"ollamamax_node_cpu_ratio {_NAMED}", "{{name}}")]),
        ("Memory", "percentunit", [(f"ollamamax_node_memory_used_bytes / ollamamax_node_memory_bytes {_NAMED}", "{{name}}")]),
        ("Disk", "percentunit", [(f"ollamamax_node_disk_used_bytes / ollamamax_node_disk_bytes {_NAMED}", "{{name}}")]),
        ("Clock", "s", [(f"ollamamax_node_clock_skew_seconds {_NAMED}", "{{name}}")]),
        ("Engines", "short", [(f"ollamamax_engine_up {_NAMED}", "{{name}} {{engine}}"), (f"ollamamax_engine_cache_ratio {_NAMED}", "{{name}} {{engine}} cache")]),
        ("GPU load", "percentunit", [(f"ollamamax_gpu_load_ratio {_NAMED}", "{{name}} {{gpu}}")]),
        ("GPU memory", "percentunit", [(f"ollamamax_gpu_memory_used_bytes / ollamamax_gpu_memory_bytes {_NAMED}", "{{name}} {{gpu}}")]),
        ("GPU temperature", "celsius", [(f"ollamamax_gpu_temperature_celsius {_NAMED}", "{{name}} {{gpu}}")]),
        ("GPU power", "watt", [(f"ollamamax_gpu_power_watts {_NAMED}", "{{name}} {{gpu}}")]),
        ("GPU throttled, memory errors", "short", [(f"ollamamax_gpu_throttled {_NAMED}", "{{name}} {{gpu}} throttled"), (f"ollamamax_gpu_ecc_errors_total {_NAMED}", "{{name}} {{gpu}} errors")]),
        ("Tickets that agents ended (where they are scraped)", "ops", [("sum by (instance, outcome) (rate(ollamamax_agent_tickets_total[$__rate_interval]))", "{{instance}} {{outcome}}")]),
    ],
    "Tenants": [
        ("Requests a second", "reqps", [("sum by (tenant) (rate(ollamamax_tenant_requests_total[$__rate_interval]))", "{{tenant}}")]),
        ("Requests a second that failed or were refused", "reqps", [('sum by (tenant, outcome) (rate(ollamamax_tenant_requests_total{outcome!="ok"}[$__rate_interval]))', "{{tenant}} {{outcome}}")]),
        ("Tokens a second", "short", [("sum by (tenant, kind) (rate(ollamamax_tenant_tokens_total[$__rate_interval]))", "{{tenant}} {{kind}}")]),
        ("Tokens of a day", "short", [("sum by (tenant) (increase(ollamamax_tenant_tokens_total[1d]))", "{{tenant}}")]),
        ("Tenants that asked within a day", "short", [("count(sum by (tenant) (increase(ollamamax_tenant_requests_total[1d])) > 0)", "tenants")]),
        ("Waiting requests", "short", [("sum by (tenant) (ollamamax_tenant_queue_length)", "{{tenant}}")]),
        ("Attempts to log in", "ops", [("sum by (method, result) (rate(ollamamax_log_ins_total[$__rate_interval]))", "{{method}} {{result}}")]),
        ("Audit records", "ops", [("sum by (area) (rate(ollamamax_audit_records_total[$__rate_interval]))", "{{area}}")]),
    ],
    "SLO": [
        ("Availability over an hour (objective 99.9 %)", "percentunit", [("1 - ollamamax:requests_failed:ratio_rate1h", "availability")]),
        ("Burn rate of the availability budget", "short", [("ollamamax:requests_failed:ratio_rate5m / 0.001", "5 min"), ("ollamamax:requests_failed:ratio_rate1h / 0.001", "1 h"), ("ollamamax:requests_failed:ratio_rate6h / 0.001", "6 h"), ("ollamamax:requests_failed:ratio_rate3d / 0.001", "3 d")]),
        ("Answers that begin within 2.5 s (objective 95 %)", "percentunit", [("1 - ollamamax:first_token_late:ratio_rate1h", "in time")]),
        ("Burn rate of the first-token budget", "short", [("ollamamax:first_token_late:ratio_rate5m / 0.05", "5 min"), ("ollamamax:first_token_late:ratio_rate1h / 0.05", "1 h"), ("ollamamax:first_token_late:ratio_rate6h / 0.05", "6 h")]),
        ("Alerts that fire", "short", [('sum by (alertname, severity) (ALERTS{alertstate="firing"})', "{{alertname}} ({{severity}})")]),
    ],
}  # fmt: skip


def dashboard(title: str, panels: list[Panel]) -> dict[str, Any]:
    """Two panels beside each other, in the order of the list."""
    return {
        "uid": f"ollamamax-{title.lower()}",
        "title": f"OllamaMax: {title}",
        "tags": ["ollamamax"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Source", "type": "datasource", "query": "prometheus", "current": {}}]
        },
        "panels": [
            {
                "id": number + 1,
                "title": name,
                "type": "timeseries",
                "datasource": SOURCE,
                "gridPos": {"x": number % 2 * 12, "y": number // 2 * 8, "w": 12, "h": 8},
                "fieldConfig": {"defaults": {"unit": unit, "custom": {"fillOpacity": 8}}, "overrides": []},
                "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
                "targets": [
                    {"refId": chr(65 + place), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
                    for place, (expression, legend) in enumerate(queries)
                ],
            }
            for number, (name, unit, queries) in enumerate(panels)
        ],
    }


def files() -> dict[str, str]:
    """Name of each file -> what is in it."""
    return {
        f"{title.lower()}.json": json.dumps(dashboard(title, panels), indent=1) + "\n"
        for title, panels in DASHBOARDS.items()
    }


if __name__ == "__main__":
    for name, text in files().items():
        (FOLDER / name).write_text(text)
