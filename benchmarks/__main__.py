"""``python -m benchmarks [NAME]``: without a name ``overhead`` and ``integrity``, which takes a few minutes. ``--help`` tells the names."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import click

from benchmarks import beside, fairness, flood, freezes, integrity, kills, kills_real, overhead, prefix, routing
from benchmarks.conditions import conditions
from benchmarks.fleet import fleet
from benchmarks.product import running, running_nodes

ahead_option = click.option(
    "--ahead", is_flag=True, help="Give what is measured real-time priority (root), on a machine that does other work."
)


@click.group(help=__doc__, invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    print(conditions(), flush=True)
    if context.invoked_subcommand is None:
        _run(overhead.Size(), integrity.Size())


@main.command(name="overhead", help="Added time to first token, throughput, memory.")
@click.option("--rounds", default=overhead.Size.rounds, show_default=True)
@ahead_option
def overhead_command(rounds: int, ahead: bool) -> None:
    _run(dataclasses.replace(overhead.Size(), rounds=rounds, ahead=ahead), None)


@main.command(name="integrity", help="Whether every token arrives once and in its place.")
@click.option("--tokens", default=integrity.Size.tokens, show_default=True)
def integrity_command(tokens: int) -> None:
    _run(None, dataclasses.replace(integrity.Size(), tokens=tokens))


@main.command(name="beside", help="This code and the code in FOLDER, another checkout of it, in turns.")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True))
@click.option("--rounds", default=beside.Size.rounds, show_default=True)
@ahead_option
def beside_command(folder: Path, rounds: int, ahead: bool) -> None:
    size = dataclasses.replace(beside.Size(), rounds=rounds, ahead=ahead)
    with running() as here, running(folder) as there:
        print("\n" + beside.report(beside.measure(here, there, size)))


@main.command(name="blobs", help="A blob of 1 GiB pulled from the registry and pushed to it, beside nginx.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--mebibytes", default=1024, show_default=True)
def blobs_command(rounds: int, mebibytes: int) -> None:
    from benchmarks import blobs

    size = blobs.BlobsSize(mebibytes << 20, rounds)
    with running() as product:
        print("\n" + blobs.report(blobs.measure(product, size), size))


@main.command(
    name="upgrade",
    help="What fails while each process of the release in FOLDER, a checkout of it, is replaced, and back.",
)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True))
@click.option("--streams", default=16, show_default=True)
def upgrade_command(folder: Path, streams: int) -> None:
    from benchmarks import upgrade

    size = upgrade.Size(streams=streams)
    steps = upgrade.measure(folder, size)
    print("\n" + upgrade.report(steps, size))
    sys.exit(0 if upgrade.seen(steps) and not upgrade.failures(steps) else 1)


@main.command(
    name="failover", help="What fails and what is lost while the primaries of Redis and PostgreSQL are killed."
)
@click.option("--streams", default=16, show_default=True)
@click.option("--watched", default=10.0, show_default=True, help="Seconds after each step.")
def failover_command(streams: int, watched: float) -> None:
    from benchmarks import failover

    size = failover.Size(streams=streams, watched=watched)
    outcome = failover.measure(size)
    print("\n" + failover.report(outcome, size))
    sys.exit(1 if outcome.failed or outcome.without_record or outcome.keys_lost else 0)


@main.command(name="replication", help="One model to many nodes that have it of each other, in one process.")
@click.option("--nodes", default=50, show_default=True)
@click.option("--megabytes", default=16, show_default=True)
@click.option("--rate", default=1 << 20, show_default=True, help="Bytes a second of each node.")
def replication_command(nodes: int, megabytes: int, rate: int) -> None:
    from benchmarks import replication

    size = replication.Size(nodes, megabytes, rate)
    print(replication.report(size, replication.measure(size)))


@main.command(name="start", help="How long `make up` takes, the first and the second time.")
def start_command() -> None:
    from benchmarks import start

    print(start.report(start.measure()))


@main.command(name="routing", help="Latency on 50 unequal nodes, simulated, by strategy.")
@click.option("--requests", default=routing.Size.requests, show_default=True)
@click.option("--seeds", default=routing.Size.seeds, show_default=True)
def routing_command(requests: int, seeds: int) -> None:
    routing.report(routing.Size(requests, seeds))


@main.command(name="placement", help="What planning takes: 200 versions in the memory of 100, 1,000 and 10,000 nodes.")
def placement_command() -> None:
    from benchmarks import placement

    found = placement.measure(placement.Size())
    print("\n" + placement.report(found))
    sys.exit(1 if placement.missed(found) else 0)


@main.command(
    name="autoscaling",
    help="Minutes out of objective and replica-hours on simulated days, against an oracle and scaling by queue depth.",
)
@click.option("--train", is_flag=True, help="Compare settings on the training days instead.")
def autoscaling_command(train: bool) -> None:
    from benchmarks import autoscaling

    print("\n" + autoscaling.report(autoscaling.measure(train)))


@main.command(
    name="prediction",
    help="Precision, recall, warning time and false alarms of predicted failures on the corpus, beside fixed thresholds.",
)
@click.option("--train", is_flag=True, help="Choose thresholds on the training seeds instead, and report on these.")
def prediction_command(train: bool) -> None:
    from benchmarks import prediction

    days = prediction.measure(prediction.TRAINING if train else prediction.HELD_OUT)
    if train:
        print("\n" + prediction.train(days))
    print("\n" + prediction.report(days))
    sys.exit(1 if prediction.missed(days) else 0)


@main.command(name="cold-hits", help="Requests for a model in no memory, with five times the memory in models.")
@click.option(
    "--recording",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="lora_request_trace.csv of Alibaba's GenTD26; without it, generated days.",
)
@click.option("--train", is_flag=True, help="The days on which settings are chosen instead.")
def cold_hits_command(recording: Path | None, train: bool) -> None:
    from benchmarks import recorded_models, warm_models

    if recording is not None:
        days = recorded_models.TRAINING if train else recorded_models.HELD_OUT
        made = recorded_models.read(recording, days)
        title = f"{len(made.sizes)} models, room for {sum(made.room)}; days {days[0] + 1} to {days[1]} of the recording"
        print("\n" + warm_models.report(title, recorded_models.measure(made)))
        return
    seeds = warm_models.TRAINING if train else warm_models.HELD_OUT
    title = f"{warm_models.MODELS} models with {warm_models.TIMES} times the memory; {len(seeds)} generated days"
    print("\n" + warm_models.report(title, warm_models.measure(seeds)))


@main.command(name="ranking", help="What ranking takes with 100, 1,000 and 10,000 nodes that have the model.")
@click.option("--requests", default=2000, show_default=True)
def ranking_command(requests: int) -> None:
    from benchmarks import ranking

    size = ranking.Size(requests=requests)
    found = ranking.measure(size)
    print("\n" + ranking.report(found, size))
    sys.exit(1 if ranking.missed(found) else 0)


@main.command(
    name="rollouts",
    help="How soon a rollout finds a worse version out, and how often it takes an equal one back: simulated.",
)
@click.option("--count", default=1000, show_default=True, help="Rollouts of each row.")
@click.option("--seed", default=1, show_default=True)
def rollouts_command(count: int, seed: int) -> None:
    from benchmarks import rollouts

    rollouts.report(count, seed)


@main.command(name="prefix", help="Prompt tokens read again on real engines, by strategy.")
@click.option("--nodes", default=prefix.Size.nodes, show_default=True)
@click.option("--rounds", default=prefix.Size.rounds, show_default=True)
def prefix_command(nodes: int, rounds: int) -> None:
    size = dataclasses.replace(prefix.Size(), nodes=nodes, rounds=rounds)
    with running_nodes(nodes) as product:
        print(prefix.report(prefix.measure(product, size), size))


@main.command(
    name="peers",
    help="Ours beside nginx, Portkey's gateway, ollama-herd, LiteLLM, smg and vllm-router, from their packages.",
)
@click.option("--rounds", default=3, show_default=True)
@click.option("--only", default="", help="Peers, separated by commas.")
def peers_command(rounds: int, only: str) -> None:
    from benchmarks.peers import run, start

    with running() as product:
        names = [name for name in start.PEERS if not only or name in only.split(",")]
        print("\n" + run.report(run.measure(product, rounds, names)))


@main.command(name="kills", help="What clients see of a node, an engine, a gateway that is killed.")
@click.option("--streams", default=kills.Size.streams, show_default=True)
@click.option("--rounds", default=kills.Size.rounds, show_default=True)
@click.option("--every", default=kills.Size.every, show_default=True, help="Milliseconds from token to token.")
@click.option("--seed", default=kills.Size.seed, show_default=True)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(kills.KINDS), default=kills.KINDS)
@click.option("--real", is_flag=True, help="The small form, with llama.cpp and the bundled model.")
def kills_command(streams: int, rounds: int, every: int, seed: int, kinds: tuple[str, ...], real: bool) -> None:
    if real:
        small = kills_real.Size()
        with running_nodes(small.nodes) as whole:
            print("\n" + kills_real.report(kills_real.measure(whole, small), small))
        return
    size = dataclasses.replace(kills.Size(), streams=streams, rounds=rounds, every=every, seed=seed, kinds=kinds)
    with fleet(nodes=size.nodes, slots=size.slots, gateways=size.gateways, engine=size.engine) as product:
        outcome = kills.measure(product, size)
    print("\n" + kills.report(outcome, size))
    sys.exit(1 if outcome.wrong or outcome.left or outcome.without_record else 0)


@main.command(
    name="kill", help="A node of llama.cpp is killed: when the last request goes there, when its incident opens."
)
@click.option("--rounds", default=3, show_default=True)
def kill_command(rounds: int) -> None:
    from benchmarks import recovery

    size = recovery.Size(rounds=rounds)
    with recovery.site(size) as made:
        found = recovery.measure(made, size)
    print("\n" + recovery.report(found, size))
    sys.exit(1 if recovery.missed(found) else 0)


@main.command(name="freezes", help="What clients see of an engine, Redis, a gateway, the controller that is frozen.")
@click.option("--streams", default=freezes.Size.streams, show_default=True)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(freezes.SECONDS)), default=list(freezes.SECONDS))
def freezes_command(streams: int, kinds: tuple[str, ...]) -> None:
    size = dataclasses.replace(freezes.Size(), streams=streams, kinds=kinds)
    with fleet(nodes=size.nodes, slots=size.slots, gateways=size.gateways, engine=size.engine) as product:
        outcome = freezes.measure(product, size)
    print("\n" + freezes.report(outcome, size))
    sys.exit(1 if outcome.wrong or outcome.left or outcome.without_record else 0)


@main.command(
    name="chaos", help="Every fault of the chaos suite under load, beside phases without it; writes docs/chaos.md."
)
@click.option("--repeats", default=3, show_default=True)
@click.option("--minutes", default=25.0, show_default=True, help="What would begin later is left out.")
@click.option("--only", multiple=True, help="Trials whose names begin so; then nothing is written.")
def chaos_command(repeats: int, minutes: float, only: tuple[str, ...]) -> None:
    from benchmarks import chaos, chaos_report

    size = chaos_report.Size(repeats=repeats, most_seconds=minutes * 60)
    sys.exit(0 if chaos.main(size, only, keep=not only) else 1)


@main.command(name="fairness", help="Who waits how long and gets how much when tenants want more than there is.")
def fairness_command() -> None:
    size = fairness.Size()
    with fleet(nodes=size.nodes, slots=size.slots, gateways=1, engine=size.engine, settings=size.settings) as product:
        outcome = fairness.measure(product, size)
    print("\n" + fairness.report(outcome, size))
    sys.exit(1 if outcome.wrong else 0)


@main.command(name="flood", help="Another tenant's first token beside thousands of connections of one.")
def flood_command() -> None:
    size = flood.Size()
    with fleet(nodes=1, slots=size.slots, gateways=1, engine=size.engine) as product:
        found = flood.measure(product, size)
    print("\n" + flood.report(found, size))
    sys.exit(1 if any(each.steady.wrong for each in found) else 0)


@main.command(name="lists", help="The management API's lists, with many nodes and usage records.")
@click.option("--records", default=1_000_000, show_default=True)
@click.option("--nodes", default=10_000, show_default=True)
@click.option("--keys", default=1_000, show_default=True)
@click.option("--rounds", default=100, show_default=True)
def lists_command(records: int, nodes: int, keys: int, rounds: int) -> None:
    from benchmarks import lists

    found = lists.measure(lists.Size(records, nodes, keys, rounds))
    print("\n" + lists.report(found))
    sys.exit(1 if lists.missed(found) else 0)


@main.command(name="simulated-fleet", help="The control loops with many nodes that join and report, without engines.")
@click.option("--nodes", default=1000, show_default=True)
@click.option("--models", default=50, show_default=True, help="of each node")
@click.option("--keys", default=0, show_default=True, help="API keys that are made first")
@click.option("--seconds", default=60.0, show_default=True, help="for which the loops are measured")
def simulated_fleet_command(nodes: int, models: int, keys: int, seconds: float) -> None:
    from benchmarks import simulated_fleet

    size = simulated_fleet.Size(nodes, models, keys, seconds)
    print("\n" + simulated_fleet.report(simulated_fleet.measure(size)))


@main.command(name="usage", help="Sums over many usage records, and what a record takes of the disk.")
@click.option("--records", default=1_000_000, show_default=True)
def usage_command(records: int) -> None:
    from benchmarks import usage

    print("\n" + usage.report(usage.measure(usage.Size(records=records))))


@main.command(name="audit", help="Records a second, and verifying and searching very many that were generated.")
@click.option("--records", default=10_000_000, show_default=True, help="0: only how many a second.")
@click.option("--seconds", default=10.0, show_default=True, help="for which records are added, each way")
def audit_command(records: int, seconds: float) -> None:
    from benchmarks import audit

    size = audit.Size(records=records, seconds=seconds)
    print("\n" + audit.report(audit.measure(size), size))


@main.command(name="servers", help="uvicorn, daphne; in the web process and in processes of their own.")
@click.option("--rounds", default=3, show_default=True)
def servers_command(rounds: int) -> None:
    from benchmarks import servers

    with running() as product:
        print("\n" + servers.report(servers.measure(product, rounds)))


@main.command(name="streams", help="Memory of one gateway with many open streams.")
@click.option("--streams", "count", default=1000, show_default=True)
def streams_command(count: int) -> None:
    from benchmarks import servers, streams

    size = dataclasses.replace(streams.Size(), streams=count)
    with running(slots=count) as product, servers.started(product, only=servers.ONE_OF_EACH) as ways:
        print("\n" + streams.report(streams.measure(product, ways[1:], size), size))


@main.command(name="live", help="Many consoles on one web process: age of what they show.")
@click.option("--consoles", default=200, show_default=True)
@click.option("--requests", default=40, show_default=True)
def live_command(consoles: int, requests: int) -> None:
    from benchmarks import live

    with running() as product:
        print("\n" + live.report(live.measure(product, live.Size(consoles, requests))))


@main.command(
    name="console", help="The console in Chromium: what it costs the browser, how soon it shows what happened."
)
@click.option("--nodes", default=1000, show_default=True, help="simulated, each of which changes each second")
@click.option("--seconds", default=60.0, show_default=True, help="for which the page of many nodes is watched")
@click.option("--requests", default=20, show_default=True)
def console_command(nodes: int, seconds: float, requests: int) -> None:
    from benchmarks import console

    size = dataclasses.replace(console.Size(), nodes=nodes, seconds=seconds, requests=requests)
    with running() as product:
        print("\n" + console.report(console.measure(product, size), size))


@main.command(name="history", help="What a day of the fleet's history takes, by the number of nodes.")
def history_command() -> None:
    from benchmarks import history_size

    for nodes in (60, 1000):
        print("\n" + history_size.report(history_size.measure(history_size.Size(nodes))))


def _run(cost: overhead.Size | None, whole: integrity.Size | None) -> None:
    """Exit status 1 when a token was not where it belongs."""
    wrong = 0
    with running() as product:
        if cost is not None:
            before = product.memory()
            measured = overhead.measure(product, cost)
            print("\n" + overhead.report(measured, product.memory(), before), flush=True)
            wrong += measured.wrong()
        if whole is not None:
            results = integrity.measure(product, whole)
            print("\n" + integrity.report(results, whole), flush=True)
            wrong += sum(result.wrong for result in results.values())
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
