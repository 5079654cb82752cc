"""`capmat validate`: models beside each other on benchmarks, as tables here and as a report in the store."""

import json
from argparse import Namespace
from typing import Any

from capmat_errors import ConfigError
from tasks.config import Config
from tasks.report.figures import METRICS, MORE_METRICS, Metric
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
