"""`capmat benchmark`: what models are measured on, made, let grow, and looked at."""

import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any, Literal

from capmat_errors import ConfigError
from storage.benchmark import Benchmark
from storage.store.root import Root
from tasks.config import Config


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
