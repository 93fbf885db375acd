"""Chaos experiments: people describe, begin and stop them, a loop carries their runs on, and each fault stands in the audit trail.

A fault is ordered by a key in Redis that lapses unless it is renewed, and the node bounds it by itself: who dies in between leaves nothing broken.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from django.db import IntegrityError, transaction
from django.utils import timezone
from redis.exceptions import RedisError

from cluster.experiments.plan import ExperimentRunFacts, RunPlan, advance, begun, orders, refusal
from cluster.experiments.terms import LEAST_HOURS, MOST_HOURS, ExperimentTerms, check_terms
from cluster.models import Experiment, ExperimentRun, Node
from cluster.queries import experiment as queries
from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.bus import keys, regions
from ollamamax.contract import encode_json
from ollamamax.contract.experiment import FAULT_LEASE, FaultOrder
from ollamamax.identity.bounds import EXPERIMENTS, require_room
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal, system

MOST_RUNS = 100
"""Of one experiment that are kept: the newest."""
_ORDER = """
-- KEYS: the fence, the order. ARGV: the number of the leadership; how long the order stands (ms); its JSON, empty to take it back.
if tonumber(ARGV[1]) < tonumber(redis.call('GET', KEYS[1]) or '0') then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
if ARGV[3] == '' then redis.call('DEL', KEYS[2]) else redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2]) end
return 1
"""
_log = logs.get(__name__)


def create_experiment(
    *, acting: Principal, name: str, terms: ExperimentTerms, every_hours: int | None = None
) -> Experiment:
    """Raises `Forbidden`, `InvalidRequest`, `NotFound` for a node of another tenant, and `Conflict` for a name that is taken and for one too many."""
    tenant = require_in_tenant(acting, "experiment.manage")
    check_terms(terms)
    _check_hours(every_hours)
    try:
        with tenant_scope(tenant), transaction.atomic(durable=True):
            require_room(EXPERIMENTS, Experiment.objects.all())
            wanted = {uuid.UUID(each) for each in (*terms.nodes, *terms.control_nodes)}
            if Node.objects.filter(pk__in=wanted).count() != len(wanted):
                raise NotFound("There is no such node.", param="nodes")
            made = Experiment.objects.create(
                tenant_id=tenant,
                name=name,
                fault=terms.fault,
                nodes=list(terms.nodes),
                seconds=terms.seconds,
                repeats=terms.repeats,
                at_once=terms.at_once,
                milliseconds=terms.milliseconds,
                control=terms.control,
                control_nodes=list(terms.control_nodes),
                hypothesis=msgspec.to_builtins(terms.hypothesis),
                abort=msgspec.to_builtins(terms.abort),
                every_hours=every_hours,
                next_at=_next(every_hours),
                created_by_name=acting.name[:254],
            )
            detail = {"fault": made.fault, "nodes": made.nodes, "every_hours": every_hours}
            record(
                acting=acting,
                action="experiment.create",
                **_about(made, detail),
            )
    except IntegrityError as error:
        raise Conflict("There is an experiment of this name already.", param="name") from error
    return made


def schedule_experiment(*, acting: Principal, experiment_id: uuid.UUID, every_hours: int | None) -> Experiment:
    """Have it run again and again, for the first time after so many hours; ``None``: only when somebody asks. Raises `Forbidden`, `NotFound` and `InvalidRequest`."""
    tenant = require_in_tenant(acting, "experiment.manage")
    _check_hours(every_hours)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        experiment = _locked(experiment_id)
        before = experiment.every_hours
        if before == every_hours:
            return experiment
        experiment.every_hours, experiment.next_at = every_hours, _next(every_hours)
        experiment.save(update_fields=["every_hours", "next_at", "changed_at"])
        record(
            acting=acting,
            action="experiment.schedule",
            **_about(experiment, {"every_hours": every_hours, "before": before}),
        )
    return experiment


def delete_experiment(*, acting: Principal, experiment_id: uuid.UUID) -> None:
    """With the reports of its runs. Raises `Forbidden`, `NotFound`, and `Conflict` while it runs."""
    tenant = require_in_tenant(acting, "experiment.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        experiment = _locked(experiment_id)
        if experiment.runs.filter(state="running").exists():
            raise Conflict("It runs: stop it first.")
        record(
            acting=acting,
            action="experiment.delete",
            **_about(experiment, {}),
        )
        experiment.delete()


def start_run(*, acting: Principal, experiment_id: uuid.UUID) -> ExperimentRun:
    """Begin a run. Raises `Forbidden`, `NotFound`, and `Conflict` while another one of the tenant runs, and where its nodes may not suffer the fault now."""
    tenant = require_in_tenant(acting, "experiment.manage")
    with tenant_scope(tenant):
        found = queries.facts(None)
        try:
            with transaction.atomic(durable=True):
                experiment = _locked(experiment_id)
                run = _begin(experiment, found, acting.name)
                record(
                    acting=acting,
                    action="experiment.run",
                    **_about(experiment, {"run": run.pk.hex}),
                )
        except IntegrityError as error:
            raise Conflict("An experiment of this tenant runs already.") from error
    return run


def stop_run(*, acting: Principal, experiment_id: uuid.UUID) -> ExperimentRun:
    """The loop ends the fault within about a second, and the run. Raises `Forbidden`, `NotFound`, and `Conflict` where it does not run."""
    tenant = require_in_tenant(acting, "experiment.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        experiment = _locked(experiment_id)
        run = experiment.runs.select_for_update().filter(state="running").first()
        if run is None:
            raise Conflict("It does not run.")
        if not run.stopped_by:
            run.stopped_by = acting.name[:254]
            run.save(update_fields=["stopped_by"])
            record(
                acting=acting,
                action="experiment.stop",
                **_about(experiment, {"run": run.pk.hex}),
            )
    return run


def carry_on_experiments(fence: int = 0, check: Callable[[], None] = lambda: None) -> int:
    """Begin what is due, and carry each run on; how many runs there were. ``check`` raises when another process does this by now. Queries: 2 while none runs."""
    with every_tenant():
        due = list(Experiment.objects.filter(next_at__lte=timezone.now()).values_list("pk", "tenant"))
        running = list(ExperimentRun.objects.filter(state="running").values_list("pk", "tenant"))
    for experiment_id, tenant in due:
        _begin_due(tenant, experiment_id, check)
    for run_id, tenant in running:
        _carry_on(tenant, run_id, fence, check)
    return len(running)


def _carry_on(tenant: uuid.UUID, run_id: uuid.UUID, fence: int, check: Callable[[], None]) -> None:
    """Nodes are told after the commit: an order that is not renewed lapses, and one of a former leader is not written."""
    with tenant_scope(tenant):
        seen = ExperimentRun.objects.filter(pk=run_id, state="running").first()
        if seen is None:
            return
        before, terms = queries.held_plan(seen), queries.held_terms(seen)
        found = queries.facts(before.phases[-1], seen.stopped_by)
        now = timezone.now().timestamp()
        after = advance(before, terms, found, now)
        report = None if after.state == "running" else msgspec.to_builtins(queries.report_of(after, terms))
        with transaction.atomic(durable=True):
            check()
            run = ExperimentRun.objects.select_for_update().select_related("experiment").filter(pk=run_id).first()
            if run is None or run.state != "running" or queries.held_plan(run) != before:
                return
            if after != before:
                run.plan, run.state, run.why, run.report = (
                    msgspec.to_builtins(after),
                    after.state,
                    after.why[:500],
                    report,
                )
                run.ended_at = None if after.state == "running" else timezone.now()
                run.save(update_fields=["plan", "state", "why", "report", "ended_at"])
                _note(run, before, after, report)
    told = orders(after, terms, now)
    _tell(fence, told, {node for phase in after.phases for node in phase.nodes} - told.keys())


def _begin_due(tenant: uuid.UUID, experiment_id: uuid.UUID, check: Callable[[], None]) -> None:
    """Where it may not begin now, it is written down, and tried again when it is due the next time."""
    acting = system("experiments", tenant.hex)
    with tenant_scope(tenant):
        found = queries.facts(None)
        try:
            with transaction.atomic(durable=True):
                check()
                experiment = Experiment.objects.select_for_update().filter(pk=experiment_id).first()
                if experiment is None or experiment.next_at is None or experiment.next_at > timezone.now():
                    return
                experiment.next_at = _next(experiment.every_hours)
                experiment.save(update_fields=["next_at"])
                why = _unready(experiment, found)
                if not why:
                    run = _begin(experiment, found, "")
                    record(
                        acting=acting,
                        action="experiment.run",
                        **_about(experiment, {"run": run.pk.hex}),
                    )
                else:
                    record(
                        acting=acting,
                        action="experiment.skip",
                        **_about(experiment, {"why": why}),
                    )
        except IntegrityError:
            _log.warning("experiment_begun_elsewhere", experiment=experiment_id.hex)


def _unready(experiment: Experiment, found: ExperimentRunFacts) -> str:
    if ExperimentRun.objects.filter(state="running").exists():
        return "An experiment of this tenant runs already."
    terms = queries.terms_of(experiment)
    for pair in range(terms.repeats):
        if why := refusal(terms, terms.targets(pair), found):
            return why
    return ""


def _begin(experiment: Experiment, found: ExperimentRunFacts, by: str) -> ExperimentRun:
    """Raises `Conflict`."""
    if why := _unready(experiment, found):
        raise Conflict(why)
    terms, now = queries.terms_of(experiment), timezone.now()
    run = ExperimentRun(tenant_id=experiment.tenant_id, experiment=experiment, by_name=by[:254], began_at=now)
    run.terms = msgspec.to_builtins(terms)
    run.plan = msgspec.to_builtins(begun(run.pk.hex, terms, found, now.timestamp()))
    run.save(force_insert=True)
    old = experiment.runs.exclude(state="running").order_by("-began_at").values_list("pk", flat=True)[MOST_RUNS - 1 :]
    ExperimentRun.objects.filter(pk__in=list(old)).delete()
    return run


def _note(run: ExperimentRun, before: RunPlan, after: RunPlan, report: Mapping[str, Any] | None) -> None:
    """Each fault that begins, and the end of the run."""
    acting = system("experiments", run.tenant_id.hex)
    if after.state != "running":
        detail = {"run": run.pk.hex, "state": after.state, "why": after.why, "verdict": report and report["verdict"]}
        record(
            acting=acting,
            action="experiment.end",
            **_about(run.experiment, detail),
        )
    elif after.step == "fault" and before.step != "fault":
        phase = after.phases[-1]
        record(
            acting=acting,
            action="experiment.fault",
            **_about(run.experiment, {"run": run.pk.hex, "nodes": phase.nodes, "pair": phase.pair}),
        )
    if after.step != before.step or after.state != before.state:
        _log.info("experiment", run=run.pk.hex, step=after.step, state=after.state, why=after.why)


def _tell(fence: int, told: Mapping[str, FaultOrder], others: set[str]) -> None:
    """Renew the orders, and take back those of the others, in every region that can be reached."""
    for region in regions.every():
        try:
            script = region.client.register_script(_ORDER)
            for node in (*told, *sorted(others)):
                data = encode_json(told[node]) if node in told else b""
                if not script([keys.FAULTS_FENCE, keys.node_fault(node)], [fence, int(FAULT_LEASE * 1000), data]):
                    _log.warning("experiment_led_elsewhere", fence=fence)
                    return
        except RedisError as error:
            # What is not renewed lapses by itself.
            _log.warning("faults_not_told", region=region.name, error=str(error))


def _check_hours(every_hours: int | None) -> None:
    if every_hours is not None and not LEAST_HOURS <= every_hours <= MOST_HOURS:
        raise InvalidRequest(
            f"An experiment is repeated each {LEAST_HOURS} to {MOST_HOURS} hours.", param="every_hours"
        )


def _next(every_hours: int | None) -> datetime.datetime | None:
    return None if every_hours is None else timezone.now() + datetime.timedelta(hours=every_hours)


def _about(experiment: Experiment, detail: Mapping[str, Any]) -> dict[str, Any]:
    """What each record of it says."""
    return {
        "target_type": "experiment",
        "target_id": experiment.pk,
        "tenant": experiment.tenant_id,
        "detail": {"name": experiment.name, **detail},
    }


def _locked(experiment_id: uuid.UUID) -> Experiment:
    found = Experiment.objects.select_for_update().filter(pk=experiment_id).first()
    if found is None:
        raise NotFound("There is no such experiment.")
    return found
