"""`capmat session`, `ingest` and `sim`: recorded and rendered sessions, and their way into the store."""

import json
import tempfile
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from capmat_errors import CapmatError, SessionError
from flows.command.arguments import add_take, integer, settings, write_file
from flows.command.ingest_plan import as_dict, clocks, summary, table
from storage.descriptor import Session, read_session
from storage.session.cost import Cost, check_space, expected_cost
from storage.session.layouts.recognise import LAYOUTS, describe
from storage.session.motion import check_motion, describe_lags
from storage.session.plan import SessionPlan, plan_session
from storage.store.root import Root
from tasks.show.figures import counted

DEFECTS = ("none", "glossy-floor", "lamp", "moved-camera", "exposure", "noise")  # as in tasks.sim.tidy_stage


def _session_options(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="the folder with the recordings")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the session.toml to write (default: print it)")
    _layout_options(parser)


def _layout_options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("folders without a session.toml")
    group.add_argument("--layout", choices=LAYOUTS, help="default: recognised")
    group.add_argument("--name", help="name of the session, its stage and its take (default: the folder's)")
    group.add_argument("--state", action="append", default=[], metavar="KEY=VALUE",
                       help="a fact that the folder does not hold, such as fps=50; may be repeated")  # fmt: skip


def session(args: Namespace) -> None:
    """Write the descriptor of a folder in a known layout, for a person to check and edit."""
    folder = args.folder.absolute()
    out = args.out.absolute() if args.out else None
    root = "." if out and out.parent == folder else str(folder)
    text, notes = describe(folder, root=root, layout=args.layout, name=args.name, stated=args.state)
    if out is None:
        print(text, end="")
        return
    if out.exists():
        raise SessionError("the file exists already", where=str(out), fix="Name another one with --out.")
    write_file(out, text.encode())
    for note in notes:
        print(f"note: {note}")
    print(f"wrote {out}; check it, then: capmat ingest {args.out}")


def _ingest_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "session",
        metavar="SESSION",
        type=Path,
        help="session.toml of the recorded day, or a folder in a known layout",
    )
    add_take(parser, "only these takes (default: all of the session)", nargs="*")
    parser.add_argument("--plan", action="store_true",
                        help="only check everything and print the plan; exit code 2 if refused")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="with --plan: print the plan as JSON")
    parser.add_argument("--motion", action="store_true",
                        help="also decode the takes and compare when the cameras see motion")  # fmt: skip
    _layout_options(parser)


def ingest(args: Namespace) -> int:
    """Check a session as a whole, then bring it into the store.

    Returns:
        0; with --plan 2 if there is a problem.
    """
    config = settings(args)
    with ExitStack() as stack:
        file, notes = _descriptor(args, stack)
        day = read_session(file)
        chosen = _chosen(day, args.take)
        plan, cost = _planned(chosen, Root(config.store))
        if args.motion and not plan.problems:
            _add_motion(plan)
        if args.plan:
            if args.json:
                print(json.dumps(as_dict(plan, cost, notes), indent=2))
            else:
                told = (f"note: {note}" for note in [*notes, *plan.notes])
                print("\n".join([*table(plan), *clocks(plan), *told, *summary(plan, cost)]))
                print("\n".join(f"problem: {problem}" for problem in plan.problems) or "all files fit")
            return 2 if plan.problems else 0
        from tasks.ingest import session as steps
        from tasks.stage.check import stage_check
        from tasks.stage.mend import mend_plates

        for note in [*notes, *plan.notes]:
            print(f"note: {note}")
        if plan.problems:
            if len(plan.problems) > 1:
                print(f"{len(plan.problems)} problems; --plan lists all of them")
            raise plan.problems[0]
        file = _kept(file, day.name) if file != args.session else file
        print(summary(plan, cost)[0], flush=True)
        plates = steps.plates(config.store, str(file))
        for name in plan.takes:
            stage = stage_check(config, str(file), name, plates["digest"])
            if stage["light"] != "green":
                print(f"{name}: the stage check says {stage['light']}; see {stage['html']}")
            done = mend_plates(config, steps.ingest(config.store, str(file), name, plates["digest"]))
            cameras, frames = counted(len(done["cameras"]), "camera"), counted(len(done["frames"]), "frame")
            print(f"{name}: {cameras}, {frames} in {config.store}")
    return 0


def _descriptor(args: Namespace, stack: ExitStack) -> tuple[Path, list[str]]:
    """The session.toml that was named, or one written for a folder in a known layout; and notes about it."""
    given: Path = args.session
    if given.is_dir() and not (given / "session.toml").exists():
        text, notes = describe(given.absolute(), root=str(given.absolute()), layout=args.layout, name=args.name,
                               stated=args.state)  # fmt: skip
        file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "session.toml"
        file.write_text(text, encoding="utf-8")
        return file, notes
    if surplus := [f"--{key}" for key in ("layout", "name", "state") if getattr(args, key)]:
        raise SessionError(
            f"{', '.join(surplus)} applies only to folders without a session.toml",
            where=str(given),
            fix="Edit the file.",
        )
    return given, []


def _kept(file: Path, name: str) -> Path:
    """Keep the descriptor of a recognised folder where people can edit it; the ledger names it."""
    kept, text = Path(f"{name}.session.toml").absolute(), file.read_text(encoding="utf-8-sig")
    if kept.exists() and kept.read_text(encoding="utf-8-sig") != text:
        raise SessionError(
            "a different descriptor of this name exists",
            where=str(kept),
            fix="Ingest that file, move it, or give another --name.",
        )
    write_file(kept, text.encode())
    print(f"note: the descriptor is kept as {kept.name}")
    return kept


def _chosen(session: Session, takes: list[str] | None) -> Session:
    """The session with only these takes."""
    session.check_takes(takes or (), session.source)
    if not takes:
        return session
    kept: dict[str, Any] = {name: session.takes[name] for name in takes}
    return session.model_copy(update={"takes": kept})


def _add_motion(plan: SessionPlan) -> None:
    """Note for every take which cameras run late by what they show."""
    for name, take in plan.takes.items():
        lags = check_motion(take.recordings, plan.cameras, take.frames, plan.session.colour.colour())
        told = describe_lags(lags, plan.session.takes[name].offset)
        plan.notes.extend(f"take {name}: {line}" for line in told)


def _planned(session: Session, root: Root) -> tuple[SessionPlan, Cost]:
    plan = plan_session(session)
    cost = expected_cost(plan, root)
    try:
        check_space(cost, root)
    except CapmatError as error:
        plan.problems.append(error)
    return plan, cost


def _sim_options(parser: ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="receives the session, the truth and the base data")
    parser.add_argument("--seed", type=integer, default=0, help="start of every random number (default: 0)")
    parser.add_argument("--tiny", action="store_true", help="render a few small pictures, in seconds")
    parser.add_argument("--defect", default="", choices=DEFECTS, metavar="NAME", help="render a tidy stage with one "
                        f"defect in camera C02, to try `capmat stage check` on: {', '.join(DEFECTS)}")  # fmt: skip


def sim(args: Namespace) -> None:
    """Render the sample session and the base data."""
    from tasks.sim.sample import render_sample

    render_sample(args.out, seed=args.seed, tiny=args.tiny, defect=args.defect)


WORDS = {
    "session": (_session_options, session, """
        capmat session day1                                    # prints the descriptor of a folder
        capmat session day1 --out day1/session.toml            # writes it, to be checked and edited
        capmat session day1 --layout easyvolcap --state fps=50
    """),
    "ingest": (_ingest_options, ingest, """
        capmat ingest session.toml --plan          # checks every file and says what would be stored
        capmat ingest session.toml                 # plates, then takes; continues where it was stopped
        capmat ingest day1 walk --state fps=50     # one take of a folder without session.toml
    """),
    "sim": (_sim_options, sim, """
        capmat sim --out try                       # the sample session, in about an hour
        capmat sim --out try --tiny                # small pictures, in seconds
        capmat sim --out try --tiny --defect moved-camera
    """),
}  # fmt: skip
