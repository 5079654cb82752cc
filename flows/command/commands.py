"""What each `capmat` command does, one function per command; names match the words of the command line."""

import json
import os
import time
from argparse import Namespace
from pathlib import Path

from capmat_errors import ConfigError
from flows.command.runs import running
from tasks.config import Config, load_config


def _config(args: Namespace) -> Config:
    return load_config(args.config, args.set)


def demo(args: Namespace) -> None:
    """The whole chain on the sample session."""
    config = _config(args)
    if not (config.truth and config.scribble_takes):
        raise ConfigError("`truth` and `scribble_takes` are not set", where="demo", fix="Run it with capmat.toml")
    start = time.monotonic()
    with running(config, args.port):
        from flows.demo import demo as flow

        record = flow(config)
    from tasks.report.summary import summary_lines

    print("\n".join(["", *summary_lines(record["report"]), ""]))
    print(f"report   {record['html']}")
    print(f"took     {time.monotonic() - start:.0f} s;  `make ui` shows the runs, `make demo` again reuses them")


def nightly(args: Namespace) -> None:
    """Ingest and matte the session."""
    config = _config(args)
    with running(config):
        from flows.nightly import nightly as flow

        done = flow(config)
    print(f"{len(done['takes'])} takes, {sum(m['frames'] for m in done['mattes'])} mattes in {config.store}")
    if night := done.get("night"):
        print(f"{len(night['refused'])} refused, {len(night['left'])} left for another night; report {night['html']}")


def redistill(args: Namespace) -> None:
    """Scribbles to promoted models."""
    config = _config(args)
    with running(config):
        from flows.redistill import redistill as flow

        done = flow(config)
    for role, verdict in done["gate"].items():
        print(f"{role}: {verdict['decision']}: {'; '.join(verdict['reasons'])}")


def reconstruct(args: Namespace) -> None:
    """Compare two alpha runs by what a radiance field makes of them."""
    if args.install:
        from tasks.geometry.nerfstudio.install import install

        print(install(args.install))
        return
    if bool(args.base_run) != bool(args.refined_run):
        raise ConfigError("it compares two alpha runs", where="capmat reconstruct", fix="Name both, or none.")
    from flows.command.geometry import reconstruct as run

    config = _config(args)
    with running(config):
        run(config, args)


def validate(args: Namespace) -> None:
    """Score models on benchmarks."""
    from flows.command.validate import check
    from flows.command.validate import validate as run

    config = _config(args)
    check(config, args)
    with running(config):
        run(config, args)


def benchmark(args: Namespace) -> None:
    """Make a benchmark, let it grow, or show it."""
    from flows.command import validate as benchmark_command

    getattr(benchmark_command, args.verb)(_config(args), args)


def paper(args: Namespace) -> None:
    """Run the paper's tables and figures on the session."""
    from flows.command.runs import paper as run

    run(_config(args), args)


def session(args: Namespace) -> None:
    """Write the session.toml of a folder in a known layout."""
    from flows.command.session import session as run

    run(args)


def ingest(args: Namespace) -> int:
    """Check a session, then bring it into the store; with --plan only say what would be done."""
    from flows.command.session import ingest as run

    return run(_config(args), args)


def matte(args: Namespace) -> None:
    """Matte a photograph, or an ingested take, with the model that was named or the one of a role."""
    from flows.command.matte import matte as run

    run(_config(args), args)


def export(args: Namespace) -> None:
    """Write the mattes of a take as picture files and videos."""
    from flows.command.matte import export as run

    run(_config(args), args)


def verify(args: Namespace) -> int:
    """Say what is damaged or missing in the store; exit code 1 when something is."""
    from flows.command.upkeep import verify as run

    return run(_config(args), args)


def scribbles(args: Namespace) -> None:
    """Bring in labels, list and show label sets, hand them out."""
    from flows.command import labels as scribbles_command

    name = {"import": "bring", "list": "listed", None: "listed"}.get(args.verb, args.verb)
    getattr(scribbles_command, name)(_config(args), args)


def scribble(args: Namespace) -> None:
    """Serve the page for scribbles until interrupted."""
    from flows.scribble.serve import scribble as run

    run(_config(args), args)


def train_base(args: Namespace) -> None:
    """Train base weights from the base data."""
    from tasks.train.base import train_base_weights

    config = _config(args)
    card = train_base_weights(
        args.role,
        getattr(config, args.role).model,
        Path(config.base_data),
        Path(config.weights),
        minutes=None if args.iterations else args.minutes,
        iterations=args.iterations,
        seed=config.seed,
        crop=args.crop,
        batch=args.batch,
        held=args.held,
        mixed_precision=args.mixed_precision,
        start=args.start,
        threads=config.cluster.train_threads,
    )
    print(f"held out: MSE {card['metrics']['mse']:.2e}, SAD {card['metrics']['sad']:.2e}")


def sim(args: Namespace) -> None:
    """Render the sample session and the base data."""
    from tasks.sim.sample import render_sample

    render_sample(args.out, seed=args.seed, tiny=args.tiny, defect=args.defect)


def models(args: Namespace) -> None:
    """List, show, import, export or promote models."""
    from flows.command import models as models_command

    name = {"import": "bring", "list": "listed", None: "listed"}.get(args.verb, args.verb)
    getattr(models_command, name)(_config(args), args)


def bench(args: Namespace) -> None:
    """Time a network of published size (made-up weights) and print a table."""
    import torch

    from tasks.models.bench import PAPER, bench_student, bench_teacher
    from tasks.models.speed import table

    height, width = (max(64, side // 4 * 4) for side in args.size)
    size = (height, width)
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    threads = args.threads or os.cpu_count() or 1
    how = {"device": device, "dtype": args.dtype, "threads": threads, "rounds": args.rounds}
    if args.role == "student":
        rows = bench_student(args.network or "bgmv2_mobilenetv2", size, cameras=args.cameras, **how)
    else:
        rows = bench_teacher(args.network or "bg_vitmatte_s", size, **how)
    print("\n".join(table(rows, size, device, threads)))
    if args.role == "student":
        print(f"\n{PAPER}")


def calibration(args: Namespace) -> None:
    """Say what a calibration holds and how good it is, and write it for another program."""
    from flows.command.stage import calibration as run

    run(args)


def ui(args: Namespace) -> None:
    """Serve the Prefect UI on this folder's database until interrupted."""
    from flows.service.server import prefect_server

    with prefect_server(args.port) as server:
        server.wait()
        print(f"Prefect UI: {server.address}   (Ctrl-C ends it)", flush=True)
        while True:
            time.sleep(3600)


def up(args: Namespace) -> None:
    """Start server and worker for this folder, with the deployments and automations; stay with --foreground."""
    from flows.service import up as up_command

    config = _config(args)
    print("starting what is missing; the first time takes a minute", flush=True)
    if args.foreground:
        up_command.stay(config, args.port)
    print(f"Prefect UI: {up_command.up(config, args.port)}   (`capmat down` ends it)")


def down(args: Namespace) -> None:
    """Stop what `capmat up` started."""
    from flows.service.up import down as run

    print(f"{count} processes stopped" if (count := run()) else "nothing of `capmat up` runs here")


def deploy(args: Namespace) -> int:
    """Register the deployments and automations on the server in PREFECT_API_URL, else on that of `capmat up`."""
    from flows.service.deploy import deploy as run
    from flows.service.notifications import notify
    from flows.service.server import found, use

    config = _config(args)
    if not os.environ.get("PREFECT_API_URL"):
        if (server := found()) is None:
            raise ConfigError("no Prefect server runs for this folder", where="capmat deploy", fix="Use `capmat up`.")
        use(server)
        server.wait()
    run(config)
    told = notify(config)
    print(f"deployed; see {os.environ['PREFECT_API_URL'].removesuffix('/api')}/deployments")
    return 0 if told else 2


def doctor(args: Namespace) -> int:
    """Say what this machine has; exit code 1 when something that capmat cannot do without is missing."""
    from flows.service.doctor import examine, lines

    findings = examine(_config(args))
    if args.json:
        print(json.dumps([finding.model_dump() for finding in findings], indent=2))
    else:
        print("\n".join(lines(findings)))
    return int(any(f.state == "missing" and f.needed for f in findings))


def metrics(args: Namespace) -> None:
    """Figures of the last night for Prometheus."""
    from tasks.night.metrics import metrics as text

    said = text(_config(args).store)
    if args.out is None:
        print(said, end="")
        return
    new = args.out.with_name(f".{args.out.name}.{os.getpid()}")
    new.write_text(said)
    new.replace(args.out)  # at once: a collector that reads half a file reports an error


def plan(args: Namespace) -> int:
    """Forecast the night, or compare a forecast with it; exit code 1 when the night is too short."""
    from flows.command.night import plan as run

    return run(_config(args), args)


def gc(args: Namespace) -> None:
    """Say what in the store may go, or remove it."""
    from flows.command.upkeep import gc as run

    run(_config(args), args)


def mine(args: Namespace) -> None:
    """Write the queue of boxes that are worth a scribble."""
    from flows.command.labels import mine as run

    run(_config(args), args)


def hull(args: Namespace) -> None:
    """Write the visual hull of a frame."""
    from flows.command.geometry import hull as run

    run(_config(args), args)


def scene(args: Namespace) -> None:
    """Write frames as folders for Nerfstudio."""
    from flows.command.geometry import scene as run

    run(_config(args), args)


def stage(args: Namespace) -> int:
    """Look at a stage before anything is matted; exit code 1 when a camera is red."""
    from flows.command.stage import check_command as run

    return run(_config(args), args)
