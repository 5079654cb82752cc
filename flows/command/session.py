"""What `capmat ingest` and `capmat session` do: say what would be stored and what is wrong, then store it."""

import json
import tempfile
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from capmat_errors import CapmatError, SessionError
from flows.command.ingest_plan import as_dict, summary, table
from storage.descriptor import Session, read_session
from storage.session.cost import Cost, check_space, expected_cost
from storage.session.layouts.recognise import describe
from storage.session.plan import SessionPlan, plan_session
from storage.store.root import Root
from tasks.config import Config


def session(args: Namespace) -> None:
    """Write the descriptor of a folder in a known layout, to be looked through and edited."""
    folder = args.folder.absolute()
    out = args.out.absolute() if args.out else None
    root = "." if out and out.parent == folder else str(folder)
    text, notes = describe(folder, root=root, layout=args.layout, name=args.name, stated=args.state)
    if out is None:
        print(text, end="")
        return
    if out.exists():
        raise SessionError("there is a file already", where=str(out), fix="Name another one with --out.")
    out.write_text(text, encoding="utf-8")
    for note in notes:
        print(f"note: {note}")
    print(f"wrote {out}; look it through, then: capmat ingest {args.out}")


def ingest(config: Config, args: Namespace) -> int:
    """Check a session as a whole, then bring it into the store.

    Returns:
        0; with --plan 2 if there is a problem.
    """
    from tasks.ingest import session as steps
    from tasks.stage.check import stage_check

    with ExitStack() as stack:
        file, notes = _descriptor(args, stack)
        found = read_session(file)
        chosen = _chosen(found, args.take)
        plan, cost = _planned(chosen, Root(config.store))
        if args.plan:
            if args.json:
                print(json.dumps(as_dict(plan, cost, notes), indent=2))
            else:
                print("\n".join([*table(plan), *(f"note: {note}" for note in notes), *summary(plan, cost)]))
                print("\n".join(f"problem: {problem}" for problem in plan.problems) or "all files fit")
            return 2 if plan.problems else 0
        for note in notes:
            print(f"note: {note}")
        if plan.problems:
            if len(plan.problems) > 1:
                print(f"{len(plan.problems)} problems; --plan lists them all")
            raise plan.problems[0]
        file = _kept(file, found.name) if file != args.session else file
        print(summary(plan, cost)[0], flush=True)
        plates = steps.plates(config.store, str(file))
        for name in plan.takes:
            seen = stage_check(config, str(file), name, plates["digest"])
            if seen["light"] != "green":
                print(f"{name}: the stage check says {seen['light']}; see {seen['html']}")
            done = steps.ingest(config.store, str(file), name, plates["digest"])
            print(f"{name}: {len(done['cameras'])} cameras, {len(done['frames'])} frames in {config.store}")
    return 0


def _descriptor(args: Namespace, stack: ExitStack) -> tuple[Path, list[str]]:
    """The session.toml that was named; or, for a folder without one, one of the layout that it is in."""
    given: Path = args.session
    if given.is_dir() and not (given / "session.toml").exists():
        text, notes = describe(given.absolute(), root=str(given.absolute()), layout=args.layout, name=args.name,
                               stated=args.state)  # fmt: skip
        file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "session.toml"
        file.write_text(text, encoding="utf-8")
        return file, notes
    if surplus := [f"--{key}" for key in ("layout", "name", "state") if getattr(args, key)]:
        raise SessionError(
            f"{', '.join(surplus)} is for folders without a session.toml", where=str(given), fix="Edit the file."
        )
    return given, []


def _kept(file: Path, name: str) -> Path:
    """Keep the descriptor of a recognised folder in the working folder: the ledger names it, and it can be edited."""
    kept, text = Path(f"{name}.session.toml").absolute(), file.read_text(encoding="utf-8")
    if kept.exists() and kept.read_text(encoding="utf-8") != text:
        raise SessionError(
            "there is a descriptor that says something else",
            where=str(kept),
            fix="Ingest that file itself, move it away, or give another --name.",
        )
    kept.write_text(text, encoding="utf-8")
    print(f"note: the descriptor is kept as {kept.name}")
    return kept


def _chosen(session: Session, takes: list[str] | None) -> Session:
    """The session with these takes only."""
    for name in takes or ():
        if name not in session.takes:
            raise SessionError(
                f"the session has no take {name}; it has {', '.join(session.takes)}",
                where=session.source,
                fix="Check the name.",
            )
    if not takes:
        return session
    kept: dict[str, Any] = {name: session.takes[name] for name in takes}
    return session.model_copy(update={"takes": kept})


def _planned(session: Session, root: Root) -> tuple[SessionPlan, Cost]:
    plan = plan_session(session)
    cost = expected_cost(plan, root)
    try:
        check_space(cost, root)
    except CapmatError as error:
        plan.problems.append(error)
    return plan, cost
