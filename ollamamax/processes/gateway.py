"""``ollamamax gateway``: inference in a process of its own, on OLLAMAMAX_GATEWAY_PORT. Without Django; the database it need not reach."""

from __future__ import annotations

import sys
from pathlib import Path

from cluster.dispatch.admission import Bounds
from ollamamax import env, logs
from ollamamax.bus.directory import Directory
from ollamamax.contract import tables
from ollamamax.gateway.app import Gateway
from ollamamax.gateway.cors import Origins
from ollamamax.gateway.standalone import Standalone
from ollamamax.observability import start as metrics
from ollamamax.processes.server import serve

NOT_NEEDED = ("DATABASE_URL", "OLLAMAMAX_SECRET_KEY")


def main() -> None:
    try:
        read = env.read(without=NOT_NEEDED)
    except env.EnvironmentInvalid as error:
        sys.exit(str(error))
    if not read["OLLAMAMAX_GATEWAY_PORT"]:
        sys.exit("Set OLLAMAMAX_GATEWAY_PORT to the port that this process is to listen on.")
    logs.configure(read["OLLAMAMAX_LOG_LEVEL"])
    directory = Directory(read["REDIS_URL"], tables.ALL)
    gateway = Gateway(
        directory,
        read["REDIS_URL"],
        max_body=read["OLLAMAMAX_MAX_BODY_BYTES"],
        deadline=read["OLLAMAMAX_REQUEST_DEADLINE_SECONDS"],
        bounds=Bounds.of(read),
        intake=read["OLLAMAMAX_INTAKE_PER_TENANT"],
        recorded_refusals=read["OLLAMAMAX_RECORDED_REFUSALS_PER_MINUTE"],
        region=read["OLLAMAMAX_REGION"],
    )
    application = Standalone(gateway, Origins(read["OLLAMA_ORIGINS"]), ending=directory.stop)
    with metrics.served("gateway", read, Path(read["OLLAMAMAX_HOME"])):
        serve(application, read, read["OLLAMAMAX_GATEWAY_PORT"], shared=True)


if __name__ == "__main__":
    main()
