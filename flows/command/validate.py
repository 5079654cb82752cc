"""`capmat validate`: models beside each other on benchmarks, as tables here and as a report in the store."""

import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any, Literal

from capmat_errors import ConfigError
from storage.benchmark import Benchmark
from storage.store.root import Root
from tasks.config import Config
from tasks.show.figures import METRICS, MORE_METRICS, Metric
from tasks.validate.page import TITLES, hull_text


def check(config: Config, args: Namespace) -> None:
    """Refuse what cannot be measured before a server is started."""
    if args.promote and not args.gate:
        raise ConfigError("--promote needs --gate", where="capmat validate", fix="Say for which role.")
    if args.model or args.benchmark or args.gate:
        from flows.validate import asked_for

        asked_for(config, args.model, args.benchmark, args.gate or "")


def validate(config: Config, args: Namespace) -> None:
    """Run the flow, and print what it measured."""
    from flows.validate import validate as flow

    done = flow(config, args.model, args.benchmark, args.gate or "", args.promote, args.hull)
    print("\n".join(lines(done)))
    print(f"report   {done['html']}")
    if args.gate:
        print(json.dumps(done["verdict"], indent=2))


def lines(found: dict[str, Any]) -> list[str]:
    """The tables for a terminal: means, under them their intervals."""
    said = []
    for name, columns in found["scores"].items():
        for column, rows in columns.items():
            there = [m for m in (*METRICS, *MORE_METRICS) if any(m.key in means for means in rows.values())]
            said.append(f"{name} {TITLES[column]}")
            heads = "".join(f"{f'{m.title} {m.ascii_unit}':>15}" for m in there)
            said.append(f"{'':28}{heads}{'ms/frame':>12}{'hull %' if found['hull'][name] else '':>9}")
            for row, means in rows.items():
                first = "".join(f"{_number(means, m):>15}" for m in there)
                fit = f"{hull_text(found, name, row):>9}" if found["hull"][name] else ""
                said.append(f"{row:28}{first}{found['latency'][name][row]['ms']:12.1f}{fit}")
                said.append(f"{'':28}" + "".join(f"{_interval(means, m):>15}" for m in there))
    return said


def _number(means: dict[str, Any], metric: Metric) -> str:
    return f"{means[metric.key]['mean'] * metric.scale:.2f}" if metric.key in means else "-"


def _interval(means: dict[str, Any], metric: Metric) -> str:
    interval = means.get(metric.key, {}).get("interval")
    return "-".join(f"{edge * metric.scale:.2f}" for edge in interval) if interval else "one picture"


def create(config: Config, args: Namespace) -> None:
    """Make the first version of a benchmark."""
    _grow(config, args, "create")


def add(config: Config, args: Namespace) -> None:
    """Make the next version of a benchmark, with all of the last one."""
    _grow(config, args, "add")


def _grow(config: Config, args: Namespace, how: Literal["create", "add"]) -> None:
    from tasks.models.networks import champion, find_model, register_base
    from tasks.validate.benchmark import drawn, grow, known, scribbled, unknown_share

    if (args.trimaps is None) == (args.labels is None):
        raise ConfigError("wants either --trimaps or --labels", where=f"capmat benchmark {how}")
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
    done = grow(config.store, how, args.name, args.take, trimaps, truth, model, steps, config.seed, threads)
    print(f"{done.name}@{done.version}: {_count(done)}, supervisor {model['name']}@{model['version']}")
    if wide := [key for key in done.keys if unknown_share(done, key) > 0.5]:
        print(f"note: more than half of the picture is unknown in {len(wide)} entries, such as {wide[0][1]} "
              f"frame {wide[0][2]}: nobody but the supervisor says what is right there")  # fmt: skip
    print(f"look at it: capmat benchmark show {done.name} --out FOLDER")


def show(config: Config, args: Namespace) -> None:
    """List all benchmarks, or the entries of one; with --out also as pictures."""
    if not args.benchmark:
        if args.out:
            raise ConfigError("--out needs the name of a benchmark", where="capmat benchmark show")
        _list(config, args)
        return
    name, _, version = args.benchmark.partition("@")
    frozen = Benchmark.open(Root(config.store), name, version or None)
    rows = [_row(frozen, key) for key in frozen.keys]
    if args.json:
        said = {"name": name, "version": frozen.version, "card": frozen.card, "entries": rows}
        print(json.dumps(said, indent=2))
    else:
        print(f"{name}@{frozen.version}: {_count(frozen)}")
        for row in rows:
            by, settings = row["supervisor"], ""
            if "steps" in by:
                settings = f", {by['steps']} steps, seed {by['seed']}"
            print(f"{row['take']} {row['camera']} {row['frame']:6}  {100 * row['unknown']:5.1f} % unknown  "
                  f"{by.get('name', '-')}@{by.get('version', '-')}{settings}"
                  + ("  truth" if row["truth"] else ""))  # fmt: skip
    if args.out:
        from tasks.show.sheet import to_jpeg
        from tasks.validate.benchmark import benchmark_sheets

        args.out.mkdir(parents=True, exist_ok=True)
        for number, sheet in enumerate(benchmark_sheets(config.store, frozen), 1):
            file = Path(args.out, f"{name}-{frozen.version}-{number}.jpg")
            file.write_bytes(to_jpeg(sheet))
            if not args.json:
                print(file)


def _list(config: Config, args: Namespace) -> None:
    from tasks.validate.benchmark import listed

    found = listed(config.store)
    if args.json:
        print(json.dumps(found, indent=2))
        return
    for one in found:
        print(f"{one['name']}@{one['version']}  {one['entries']:4} entries, {one['known']:4} with known alpha, "
              f"of {', '.join(one['takes'])}")  # fmt: skip
    if not found:
        print("no benchmark yet; capmat benchmark create makes one, capmat nightly that of a session")


def _row(frozen: Benchmark, key: tuple[str, str, int]) -> dict[str, Any]:
    from tasks.validate.benchmark import unknown_share

    place = dict(zip(("take", "camera", "frame"), key, strict=True))
    said = {"unknown": round(unknown_share(frozen, key), 4), "supervisor": frozen.supervisor(*key)}
    return {**place, **said, "truth": key in frozen.known}


def _count(frozen: Benchmark) -> str:
    return f"{len(frozen)} entries of {', '.join(frozen.takes)}, {len(frozen.known)} with known alpha"
