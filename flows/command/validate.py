"""`capmat validate` and `capmat benchmark`: how good models are, and what they are measured on."""

import json
import os
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from capmat_errors import ConfigError, SessionError
from flows.command.arguments import add_take, given, positive, settings, verbs_of, write_file
from storage.benchmark import Benchmark
from storage.descriptor import read_session
from storage.store.root import Root
from tasks.show.figures import METRICS, MORE_METRICS, Metric, counted


def _validate_options(parser: ArgumentParser) -> None:
    parser.add_argument("model", nargs="*", metavar="NAME[@VERSION]", help="models of `capmat models`; student and "
                        "teacher are those in use (default: the base models and those in use)")  # fmt: skip
    parser.add_argument("--benchmark", action="append", default=[], metavar="NAME[@VERSION]", help="of `capmat "
                        "benchmark`; may be repeated (default: that of the session)")  # fmt: skip
    parser.add_argument("--gate", choices=("teacher", "student"), metavar="ROLE",
                        help="ask whether the named model should replace the one in use")  # fmt: skip
    parser.add_argument("--no-hull", dest="hull", action="store_false", help="skip the check whether the mattes of "
                        "all cameras fit together, which mattes cameras outside the benchmark")  # fmt: skip
    parser.add_argument("--promote", action="store_true", help="with --gate: put it in use if the answer is PROMOTE")


def validate(args: Namespace) -> None:
    """Run the flow, and print what it measured."""
    config = settings(args)
    if args.promote and not args.gate:
        raise ConfigError("--promote needs --gate", where="capmat validate", fix="Name a role.")
    if args.model or args.benchmark or args.gate:
        from flows.validate import asked_for

        asked_for(config, args.model, args.benchmark, args.gate or "")  # refuses before a server is started
    from flows.command.runs import check_before, running

    if not args.benchmark:
        check_before(config)
        if not read_session(config.session).benchmark:
            fix = "Name a take and its trimaps there, or use --benchmark."
            raise SessionError("has no [benchmark]", where=config.session, fix=fix)

    with running(config):
        from flows.validate import validate as flow

        done = flow(args.model, args.benchmark, args.gate or "", args.promote, args.hull, **given(args))
        print("\n".join(lines(done)))
        print(f"report   {done['html']}")
        if args.gate:
            print(json.dumps(done["verdict"], indent=2))


def lines(comparison: dict[str, Any]) -> list[str]:
    """The answers, and the tables for a terminal: means, and below them their intervals."""
    from tasks.validate.answer import sentence
    from tasks.validate.page import TITLES, doubt_lines, hull_text

    rows = [sentence(answer, comparison["models"]) for answer in comparison["answers"]]
    wide = max(28, *(len(row) + 1 for row in comparison["models"]))
    for name, columns in comparison["scores"].items():
        for column, models in columns.items():
            metrics = [m for m in (*METRICS, *MORE_METRICS) if any(m.key in means for means in models.values())]
            rows.append(f"{name} {TITLES[column]}")
            heads = "".join(f"{f'{m.title} {m.ascii_unit}':>15}" for m in metrics)
            rows.append(f"{'':{wide}}{heads}{'ms/frame':>12}{'hull %' if comparison['hull'][name] else '':>9}")
            for model, means in models.items():
                first = "".join(f"{_number(means, m):>15}" for m in metrics)
                fit = f"{hull_text(comparison['hull'][name], model):>9}" if comparison["hull"][name] else ""
                rows.append(f"{model:{wide}}{first}{comparison['latency'][name][model]['ms']:12.1f}{fit}")
                rows.append(f"{'':{wide}}" + "".join(f"{_interval(means, m):>15}" for m in metrics))
        rows += doubt_lines(comparison["doubts"].get(name, {}))
    return rows


def _number(means: dict[str, Any], metric: Metric) -> str:
    return f"{means[metric.key]['mean'] * metric.scale:.2f}" if metric.key in means else "-"


def _interval(means: dict[str, Any], metric: Metric) -> str:
    if not (mean := means.get(metric.key)):
        return "-"
    if not mean["interval"]:
        return counted(mean["pictures"], "picture")
    return "-".join(f"{edge * metric.scale:.2f}" for edge in mean["interval"])


def _benchmark_options(parser: ArgumentParser) -> None:
    verb = verbs_of(parser)
    for name, text in (
        ("create", "freeze trimaps of a take, and a supervisor's mattes of them, under a new name"),
        ("add", "make the next version of a benchmark: everything it holds, and these trimaps"),
    ):
        made = verb(name, text)
        made.set_defaults(work=grow)
        made.add_argument("name")
        add_take(made, "the ingested take of the trimaps")
        made.add_argument("--trimaps", type=Path, metavar="FOLDER", help="<camera>/<frame>.png: 0, 128, 255")
        made.add_argument("--labels", nargs="?", const="", metavar="VERSION", help="instead: the scribbles of a "
                          "label set (default: the newest); unpainted pixels are unknown")  # fmt: skip
        made.add_argument("--truth", type=Path, metavar="FOLDER", help="alphas that are known to be right, "
                          "<camera>/<frame>.png; stored beside the supervisor's")  # fmt: skip
        made.add_argument("--model", metavar="NAME[@VERSION]", help="the supervisor (default: the one in use)")
        made.add_argument("--steps", type=positive, help="its sampling steps (default: supervisor.steps)")
    shown = verb("show", "list the benchmarks, or the entries of one")
    shown.set_defaults(work=show)
    shown.add_argument("benchmark", nargs="?", metavar="NAME[@VERSION]")
    shown.add_argument("--out", type=Path, metavar="FOLDER", help="also write contact sheets of its pictures there")
    shown.add_argument("--json", action="store_true", help="print JSON")


def grow(args: Namespace) -> None:
    """Make the first version of a benchmark, or the next one with everything of the last."""
    from tasks.models.networks import champion, find_model, register_base
    from tasks.validate.benchmark import drawn, known, scribbled, unknown_share
    from tasks.validate.benchmark import grow as freeze

    config = settings(args)
    if (args.trimaps is None) == (args.labels is None):
        fix = "Give one of the two."
        raise ConfigError("needs either --trimaps or --labels", where=f"capmat benchmark {args.verb}", fix=fix)
    if args.trimaps:
        trimaps = drawn(config.store, args.take, args.trimaps)
    else:
        trimaps = scribbled(config.store, args.take, args.labels or None)
    truth = known(config.store, args.take, args.truth, list(trimaps)) if args.truth else {}
    if args.model:
        model = find_model(config.store, config.weights, args.model)
    else:
        register_base(config.store, config.weights, config.architectures)
        model = champion(config.store, "supervisor")
    steps, threads = args.steps or config.supervisor.steps, os.cpu_count() or 1
    done = freeze(config.store, args.verb, args.name, args.take, trimaps, truth, model, steps, config.seed, threads)
    print(f"{done.name}@{done.version}: {_count(done)}, supervisor {model['name']}@{model['version']}")
    if wide := [key for key in done.keys if unknown_share(done, key) > 0.5]:
        entries = counted(len(wide), "entry", "entries")
        print(f"note: more than half of the picture is unknown in {entries}, such as {wide[0][1]} "
              f"frame {wide[0][2]}; there the supervisor alone decides what is right")  # fmt: skip
    print(f"to see it: capmat benchmark show {done.name} --out FOLDER")


def show(args: Namespace) -> None:
    """List all benchmarks, or the entries of one; with --out also as pictures."""
    store = settings(args).store
    if not args.benchmark:
        if args.out:
            raise ConfigError("--out needs the name of a benchmark", where="capmat benchmark show")
        _list(store, args)
        return
    name, _, version = args.benchmark.partition("@")
    frozen = Benchmark.open(Root(store), name, version or None)
    rows = [_row(frozen, key) for key in frozen.keys]
    if args.json:
        card = {"name": name, "version": frozen.version, "card": frozen.card, "entries": rows}
        print(json.dumps(card, indent=2))
    else:
        print(f"{name}@{frozen.version}: {_count(frozen)}")
        for row in rows:
            by, how = row["supervisor"], ""
            if "steps" in by:
                how = f", {by['steps']} steps, seed {by['seed']}"
            elif "method" in by:
                how = f", {by['method']}"
            print(f"{row['take']} {row['camera']} {row['frame']:6}  {100 * row['unknown']:5.1f} % unknown  "
                  f"{by.get('name', '-')}@{by.get('version', '-')}{how}"
                  + ("  truth" if row["truth"] else ""))  # fmt: skip
    if args.out:
        from tasks.show.sheet import to_jpeg
        from tasks.validate.benchmark import benchmark_sheets

        for number, sheet in enumerate(benchmark_sheets(store, frozen), 1):
            file = Path(args.out, f"{name}-{frozen.version}-{number}.jpg")
            write_file(file, to_jpeg(sheet))
            if not args.json:
                print(file)


def _list(store: str, args: Namespace) -> None:
    from tasks.validate.benchmark import every_version

    benchmarks = every_version(store)
    if args.json:
        rows = [(b.name, b.version, len(b), len(b.known), b.takes) for b in benchmarks]
        keys = ("name", "version", "entries", "known", "takes")
        print(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=2))
        return
    for b in benchmarks:
        print(f"{b.name}@{b.version}  {_count(b)}")
    if not benchmarks:
        print("no benchmark yet; capmat benchmark create makes one, capmat nightly makes that of a session")


def _row(frozen: Benchmark, key: tuple[str, str, int]) -> dict[str, Any]:
    from tasks.validate.benchmark import unknown_share

    return {
        **dict(zip(("take", "camera", "frame"), key, strict=True)),
        "unknown": round(unknown_share(frozen, key), 4),
        "supervisor": frozen.supervisor(*key),
        "truth": key in frozen.known,
    }


def _count(frozen: Benchmark) -> str:
    entries = counted(len(frozen), "entry", "entries")
    return f"{entries} of {', '.join(frozen.takes)}, {len(frozen.known)} with known alpha"


WORDS = {
    "validate": (_validate_options, validate, """
        capmat validate                                        # those in use, on the session's benchmark
        capmat validate student modnet --benchmark gold        # these two, on another benchmark
        capmat validate student@v0003 --benchmark gold --gate student   # should it replace the one in use?
    """),
    "benchmark": (_benchmark_options, show, """
        capmat benchmark create gold cedar --trimaps trimaps   # trimaps/<camera>/<frame>.png
        capmat benchmark add gold birch --labels               # the scribbles of birch, too
        capmat benchmark show                                  # all benchmarks
        capmat benchmark show gold --out pictures              # one, with contact sheets
    """),
}  # fmt: skip
