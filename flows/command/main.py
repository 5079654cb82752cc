"""The `capmat` command. Every command imports what it needs when it runs, so that `--help` answers at once.

Exit codes: 0 done; 1 an unexpected fault (with its traceback), or damage found; 2 refused, with one line that says
what, where and what to do next; 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from capmat_errors import CapmatError
from flows.command import options
from flows.command.arguments import positive, size


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="capmat", description="Mattes for capture stages, from recorded takes to promoted models."
    )
    parser.add_argument("--config", type=Path, help="configuration file (default: capmat.toml, if there)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting; may be repeated"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    demo = add("demo", "run the whole chain on the sample session and write the report")
    demo.add_argument("--port", type=int, default=4200, help="loopback port of the Prefect server")
    add("nightly", "ingest the session, matte every take, freeze the benchmark (a Prefect flow)")
    add("redistill", "scribbles to promoted models (a Prefect flow)")
    rebuild = add("reconstruct", "what two sets of mattes make of one frame as a radiance field (a Prefect flow)")
    rebuild.add_argument("base_run", nargs="?", default="", help="alpha run to start from, e.g. "
                         "student-bgmv2_mobilenetv2-v0001 (default: the newest verdict's champion)")  # fmt: skip
    rebuild.add_argument(
        "refined_run", nargs="?", default="", help="alpha run to compare it with (default: its challenger)"
    )
    rebuild.add_argument(
        "--install",
        nargs="?",
        type=Path,
        const=Path(".capmat/nerfstudio"),
        metavar="FOLDER",
        help="instead make Nerfstudio's own environment (default: .capmat/nerfstudio, where it is found), 7.6 GB",
    )

    scored = add("validate", "score models on benchmarks, and write a report (a Prefect flow)")
    scored.add_argument("model", nargs="*", metavar="NAME[@VERSION]", help="models of `capmat models` (default: the "
                        "base models and those in use)")  # fmt: skip
    scored.add_argument("--benchmark", action="append", default=[], metavar="NAME[@VERSION]", help="of `capmat "
                        "benchmark`; may be repeated (default: that of the session)")  # fmt: skip
    scored.add_argument("--gate", choices=("teacher", "student"), metavar="ROLE", help="ask whether the one model "
                        "named is to take the place of the one in use as teacher or student")  # fmt: skip
    scored.add_argument("--no-hull", dest="hull", action="store_false", help="do not look whether the mattes of all "
                        "cameras fit together; saves matting cameras that are not in the benchmark")  # fmt: skip
    scored.add_argument("--promote", action="store_true", help="with --gate: put it in use if the answer is PROMOTE")

    options.benchmark(add("benchmark", "what models are measured on: make one of trimaps, let it grow, look at it"))
    options.paper(add("paper", "run the paper's tables and figures here, and say what holds (a Prefect flow)"))
    options.session(add("session", "write the session.toml of a folder in a known layout, to be edited"))
    options.ingest(add("ingest", "bring a recorded session into the store, without a server"))

    matte = add("matte", "matte one photograph, or an ingested take, with the default or any other network")
    matte.add_argument("--image", type=Path, help="the picture with the subject")
    matte.add_argument("--plate", type=Path, help="the same view, empty")
    matte.add_argument(
        "--trimap", type=Path, help="black stage, grey unknown, white subject, for networks that want it"
    )
    matte.add_argument(
        "--mask", type=Path, help="a coarse alpha, for networks that want it (default: from the plate)"
    )
    matte.add_argument("--out", type=Path, help="folder for the pictures")
    matte.add_argument("--take", help="an ingested take, instead of --image")
    matte.add_argument("--model", metavar="NAME[@VERSION]", help="a model of `capmat models`, or base weights")
    matte.add_argument("--role", choices=("student", "teacher"), default="student", help="without --model: whose")

    options.export(add("export", "write the mattes of a take as EXR, PNG, TIFF or video files"))

    verify = add("verify", "look whether every stored frame, plate and matte is still there; exit code 1 if not")
    verify.add_argument("take", nargs="?", help="default: all of them")
    verify.add_argument("--deep", action="store_true", help="read every byte; without it, presence and size")
    verify.add_argument("--json", action="store_true", help="the findings for programs")
    verify.add_argument(
        "--forget",
        action="store_true",
        help="take damaged work back from the ledger, so that ingest and matte redo it",
    )

    options.scribbles(add("scribbles", "bring in labels that people made, list and show label sets, hand them out"))

    options.scribble(add("scribble", "a page on which people paint where the matte failed; makes labels of it"))

    train = add("train-base", "train the base weights of one role from the base data")
    train.add_argument("role", choices=("teacher", "student", "supervisor"))
    train.add_argument("--minutes", type=float, default=25.0, help="as many steps as fit (default: 25)")
    train.add_argument("--iterations", type=int, help="so many steps, instead of --minutes")
    options.train_base(train)

    options.sim(add("sim", "render the sample session (Mitsuba 3)"))

    bench = add("bench", "how fast a network is on this machine, beside its released structure")
    bench.add_argument("role", choices=("student", "teacher"))
    bench.add_argument("--size", type=size, default="1920x1080", metavar="WxH", help="default: 1920x1080")
    bench.add_argument("--cameras", type=positive, default=4, help="in one batch of the student (default: 4)")
    bench.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    bench.add_argument("--device", choices=("cpu", "cuda"), help="default: the GPU, if there is one")
    bench.add_argument("--threads", type=positive, help="torch threads (default: one per core)")
    bench.add_argument("--rounds", type=positive, default=7, help="how often each row is timed (default: 7)")
    bench.add_argument("--network", help="default: the published size")
    options.calibration(
        add("calibration", "say what a calibration holds and how good it is, and write it for another program")
    )
    options.models(add("models", "list the models of the store; bring in, show, hand out, promote one"))
    ui = add("ui", "open the Prefect UI on this folder's database")
    ui.add_argument("--port", type=int, default=4200)
    doctor = add("doctor", "say what this machine has, and what to do about what is missing")
    doctor.add_argument("--json", action="store_true")
    figures = add("metrics", "figures of the last night, in the text format of Prometheus")
    figures.add_argument("--out", type=Path, metavar="FILE", help="replace this file, *.prom (default: print)")
    options.plan(add("plan", "how long the night will be, at the rates that this store has measured"))
    options.gc(add("gc", "say which mattes and leftovers may go; with --yes remove them"))
    options.mine(add("mine", "which boxes of a take's pictures are worth a scribble: writes the queue, best first"))
    options.hull(add("hull", "the visual hull of a frame as PLY or GLB: a cheap look at what its mattes agree on"))
    options.scene(add("scene", "write frames as folders for Nerfstudio, with camera files for COLMAP's readers"))
    options.stage(add("stage", "look at a stage: lights, reflections, noise, cameras that moved"))
    up = add("up", "start the server and the worker that run deployments by themselves, on this machine")
    up.add_argument("--port", type=int, default=4200, help="loopback port of the Prefect server (default: 4200)")
    up.add_argument("--foreground", action="store_true", help="stay, start again what ends, stop all on Ctrl-C")
    add("down", "stop what `capmat up` started")
    add("deploy", "register the deployments of prefect.yaml again, on the server of `capmat up`")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; see the module's exit codes.

    Args:
        argv: words after `capmat`; None takes them from the command line.
    """
    args = _parser().parse_args(argv)
    try:
        from flows.command import commands

        return int(getattr(commands, args.command.replace("-", "_"))(args) or 0)
    except CapmatError as e:
        sys.stderr.write(f"capmat: {e}\n")
        return e.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("capmat: interrupted; the same command goes on from here\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
