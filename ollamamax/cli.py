"""The `ollamamax` console command: Django's management commands under the product's name, `gateway`, which has no Django, and those of `ollamamax.remote`.

Beside what `make up` started it needs no settings: it reads them from that installation's home. Commands of `ollamamax.remote` never need any.
"""

from __future__ import annotations

import importlib.util
import os
import sys

COMMANDS = {
    "node token": "print a token with which a host joins",
    "nodes list|cordon|drain|resume": "the hosts of a tenant",
    "models add|list": "publish a GGUF file; list models",
    "user create|remove|deactivate|activate": "people, and their membership of a tenant",
    "tenant create|operator|suspend|resume|delete|keep|nodes": "organisations",
    "audit verify|key": "check that nobody changed the audit trail; the key that signs its checkpoints",
    "audit_prune": "drop months of the audit trail that are older than they are kept",
    "changepassword": "a new password for a user",
    "prepare": "migrations and the first user; once per version",
    "reseal": "encrypt what is kept sealed with the newest key",
    "doctor": "say what is wrong with an installation and what to do; make a support bundle",
    "backup": "write everything into one file, encrypted if asked",
    "restore": "put a backup into an installation without data",
    "drill": "restore a backup beside what runs, and say what time that took",
    "database_users": "print the SQL for the user that everything runs as",
    "web": "serve everything at one address",
    "gateway": "serve inference alone",
    "controller": "run the control plane's loops",
    "loops": "print how the control plane's loops fare",
    "batches": "run batches and evaluations on idle capacity",
}
"""What `--help` lists; Django's other commands work too."""

REMOTE = {
    "login, logout": "keep the address and an API key of an installation, or forget them",
    "push": "send a GGUF file, and go on where a push broke off",
    "versions": "the versions of a model, their stages and channels",
    "evaluate": "have a version answer a suite of prompts with checks",
    "promote": "bring a version into staged or production",
    "rollout": "start, watch, pause, resume, promote, rollback: move a channel in steps",
    "rollback": "give new requests the version before",
    "bundle": "export, import, signers: models in one signed file, where no network leads",
    "status": "channels, versions, rollouts that are under way",
    "nodes": "the nodes that a key may see",
    "logs": "what a node or its engine wrote",
    "completion": "print what makes bash, zsh or fish complete these",
}
"""Commands that speak to an installation by its API, from anywhere."""

_OF_THE_SERVER = {"nodes": frozenset({"list", "cordon", "drain", "resume"})}
"""Words after a command's name by which it is one of this machine's installation."""

UNUSED = {
    "OLLAMAMAX_SECRET_KEY": "-" * 50,
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}
"""Settings that a command's help is content with: it reads no server and no secret."""

WITHOUT_SETTINGS = (("backup", "--new-key"), ("restore", "--settings-to"))
"""Commands that know all they need by their arguments: after a disaster there is nothing but a backup."""

HOME = "--home"
_COMPLETION = "_OLLAMAMAX_COMPLETE"


def main() -> None:
    # What it writes is for its own user: blobs, files of batches, notes of the audit trail.
    os.umask(0o077)
    arguments = sys.argv[1:]
    if arguments[:1] == [HOME] and len(arguments) > 1:
        os.environ["OLLAMAMAX_HOME"] = arguments[1]
        arguments = arguments[2:]
    elif arguments and arguments[0].startswith(f"{HOME}="):
        os.environ["OLLAMAMAX_HOME"] = arguments.pop(0).removeprefix(f"{HOME}=")
    if _COMPLETION in os.environ:  # a shell asks how a command goes on
        from ollamamax.remote import commands

        commands.main(arguments)
        return
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        if len(arguments) < 2:
            sys.stdout.write(f"{usage()}\n")
            return
        arguments = [*arguments[1:], "--help"]
    if _is_remote(arguments):
        from ollamamax.remote import commands

        commands.main(arguments)
        return
    if importlib.util.find_spec("django") is None:
        sys.exit(
            'Only a node is installed here (ollamamax-node); for the control plane: pip install "ollamamax[server]".'
        )
    sys.argv[1:] = arguments
    is_gateway = arguments[0] == "gateway"
    alone = any(set(each) <= set(arguments) for each in WITHOUT_SETTINGS)
    if alone or "--help" in arguments or "-h" in arguments:
        if is_gateway:
            sys.stdout.write(
                "ollamamax gateway: serve inference alone, on OLLAMAMAX_GATEWAY_PORT. Settings come from the environment.\n"
            )
            return
        for name, value in UNUSED.items():
            os.environ.setdefault(name, value)
    elif not os.environ.get("REDIS_URL" if is_gateway else "OLLAMAMAX_SECRET_KEY"):
        _read_settings_of_home()
    if is_gateway:
        from ollamamax.processes import gateway

        gateway.main()
        return
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ollamamax.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


def _is_remote(arguments: list[str]) -> bool:
    names = {name for listed in REMOTE for name in listed.split(", ")}
    return arguments[0] in names and not _OF_THE_SERVER.get(arguments[0], frozenset()).intersection(arguments[1:2])


def usage() -> str:
    width = max(map(len, (*COMMANDS, *REMOTE)))

    def listed(commands: dict[str, str]) -> str:
        return "\n".join(f"  {name:{width}}  {what}" for name, what in commands.items())

    return (
        f"usage: ollamamax [{HOME} FOLDER] COMMAND ...\n\nOn the server:\n{listed(COMMANDS)}\n\n"
        f"From anywhere, by the API:\n{listed(REMOTE)}\n\n"
        "`ollamamax COMMAND --help` says more. Beside a running `make up` no settings are needed: they are those of the\n"
        f"installation in FOLDER, else in OLLAMAMAX_HOME, else in .ollamamax. Elsewhere they come from the environment."
    )


def _read_settings_of_home() -> None:
    """What is set already stays."""
    from ollamamax.embedded import environment, home
    from ollamamax.embedded.problem import Problem

    try:
        here = home.at()
        found = environment.of_running(here)
    except (Problem, OSError) as problem:
        sys.exit(str(problem))
    for name, value in found.items():
        os.environ[name] = os.environ.get(name) or value
    if not found:
        sys.stderr.write(
            f"Nothing runs in {here.folder}: start it with `make up`, name its folder with {HOME}, or give all settings.\n"
        )


if __name__ == "__main__":
    main()
