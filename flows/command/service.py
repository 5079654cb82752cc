"""`capmat up`, `down`, `deploy`, `ui` and `doctor`: what one machine needs to work by itself."""

import json
import os
import time
from argparse import ArgumentParser, Namespace

from capmat_errors import ConfigError
from flows.command.arguments import PORT, no_options, port, settings
from tasks.config import Config


def _up_options(parser: ArgumentParser) -> None:
    parser.add_argument("--port", type=port, help=PORT)
    parser.add_argument("--foreground", action="store_true",
                        help="stay, restart what ends, and stop everything on Ctrl-C")  # fmt: skip


def up(args: Namespace) -> None:
    """Start server and worker for this folder, with the deployments and automations; stay with --foreground."""
    from flows.service.up import stay
    from flows.service.up import up as start

    config = _of_the_folder(args)
    print("starting what is missing; the first time takes a minute", flush=True)
    if args.foreground:
        stay(config, args.port)
    print(f"Prefect UI: {start(config, args.port)}   (`capmat down` ends it)")


def _of_the_folder(args: Namespace) -> Config:
    """The settings as runs will read them: of capmat.toml and the variables.

    Raises:
        ConfigError: options of the command line, which runs would not see.
    """
    if args.config or args.set:
        given = f"--config {args.config}" if args.config else f"--set {args.set[0]}"
        key = args.set[0].partition("=")[0] if args.set else "KEY"
        name = f"CAPMAT_{key.upper().replace('.', '__')}"
        fix = f"Write it into capmat.toml of this folder, or set the variable {name}."
        raise ConfigError("the runs of deployments would not see this", where=given, fix=fix)
    return settings(args)


def down(args: Namespace) -> None:
    """Stop what `capmat up` started."""
    from flows.service.server import running_server
    from flows.service.up import down as stop

    count = stop()
    stopped = f"{count} process{'es' * (count > 1)} stopped"
    print(stopped if count else "`capmat up` has nothing running in this folder")
    if running_server():
        print("another command, such as `capmat ui`, still uses the server; it ends with that command")


def deploy(args: Namespace) -> int:
    """Register deployments and automations on the server in PREFECT_API_URL, else on that of `capmat up`.

    Returns:
        2 if a block of `notify.blocks` is missing, else 0.
    """
    from flows.service.deploy import deploy as register
    from flows.service.notifications import notify
    from flows.service.server import running_server, use

    config = _of_the_folder(args)
    if not os.environ.get("PREFECT_API_URL"):
        if (server := running_server()) is None:
            raise ConfigError("no Prefect server runs for this folder", where="capmat deploy", fix="Use `capmat up`.")
        use(server)
        server.wait()
    register(config)
    complete = notify(config)
    print(f"deployed; see {os.environ['PREFECT_API_URL'].removesuffix('/api')}/deployments")
    return 0 if complete else 2


def _ui_options(parser: ArgumentParser) -> None:
    parser.add_argument("--port", type=port, help=PORT)


def ui(args: Namespace) -> None:
    """Serve the Prefect UI on this folder's database until interrupted."""
    from flows.service.server import prefect_server

    with prefect_server(args.port) as server:
        server.wait()
        print(f"Prefect UI: {server.link()}   (Ctrl-C ends it)", flush=True)
        while True:
            time.sleep(3600)


def _doctor_options(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def doctor(args: Namespace) -> int:
    """Print what this machine has.

    Returns:
        1 if something is missing that capmat needs, else 0.
    """
    from flows.service.doctor import examine, lines

    findings = examine(settings(args))
    if args.json:
        print(json.dumps([finding.model_dump() for finding in findings], indent=2))
    else:
        print("\n".join(lines(findings)))
    return int(any(finding.state == "missing" and finding.needed for finding in findings))


WORDS = {
    "up": (_up_options, up, """
        capmat up                   # server, worker, deployments; returns when all of them answer
        capmat up --port 4300       # if another program has port 4200
        capmat up --foreground      # stays and restarts what ends, for systemd or a container
    """),
    "down": (no_options, down, """
        capmat down                 # the server, the worker and the runs of this folder end
        capmat down && capmat up    # start again, with new settings
        capmat down && capmat ui    # look at earlier runs, start none
    """),
    "deploy": (no_options, deploy, """
        capmat deploy                                       # after an edit of prefect.yaml
        capmat up && capmat deploy                          # start the server first
        PREFECT_API_URL=http://host:4200/api capmat deploy  # on another server
    """),
    "ui": (_ui_options, ui, """
        capmat ui                   # prints its address; Ctrl-C ends it
        capmat ui --port 4300       # if another program has port 4200
        capmat ui --port 4200       # always this port, for a tunnel: ssh -L 4200:localhost:4200 MACHINE
    """),
    "doctor": (_doctor_options, doctor, """
        capmat doctor                                # what this machine has, and how to mend what is missing
        capmat doctor --json                         # for programs
        capmat doctor --set store=s3://show/capmat   # with another store
    """),
}  # fmt: skip
