"""The `capmat` command: the list of its words. A word's module is imported when the word is used.

Each module of this folder holds a family of words. Its `WORDS` leads from a word to two functions: one declares the
options, one does the work. Torch and Prefect are imported inside the latter, so that `--help` answers at once.

Exit codes: 0 done; 1 an unexpected fault (with its traceback), or damage found; 2 refused, with one line that says
what, where and what to do next; 3 a night did what it could, and needs a human; 130 interrupted, 129 and 143 by
SIGHUP and SIGTERM.
"""

import argparse
import atexit
import errno
import os
import signal
import sys
from argparse import SUPPRESS
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial
from importlib import import_module
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from textwrap import dedent
from typing import Any, TextIO, cast

from capmat_errors import CapmatError, ConfigError
from flows.command.arguments import Anywhere, Parser, settings
from tasks.runtime.display import chosen_display
from tasks.runtime.listener import Ended, ended_by_signals, lost, outlive

GROUPS = {
    # group: {word: (module of this folder, help)}
    "Start": {
        "doctor": ("service", "check this machine and say how to mend what is missing"),
        "demo": ("runs", "run the whole chain on the sample session and write the report"),
        "sim": ("session", "render the sample session (Mitsuba 3)"),
    },
    "Day": {
        "session": ("session", "write a session.toml for a folder in a known layout"),
        "calibration": ("stage", "show a calibration, check it with a checkerboard, convert it"),
        "stage": ("stage", "check a stage: lights, reflections, noise, cameras that moved"),
        "ingest": ("session", "bring a recorded session into the store, without a server"),
        "matte": ("matte", "matte an ingested take or one photograph"),
        "export": ("matte", "write the mattes of a take as EXR, PNG, TIFF or video files"),
        "hull": ("geometry", "write the visual hull of a frame as PLY or GLB"),
        "scene": ("geometry", "write frames as folders for Nerfstudio and COLMAP's readers"),
    },
    "Night": {
        "plan": ("night", "forecast how long the night takes, from the rates that this store has measured"),
        "nightly": ("runs", "ingest the session, matte every take and freeze the benchmark (a Prefect flow)"),
        "up": ("service", "start the server and the worker that run deployments on this machine"),
        "down": ("service", "stop what `capmat up` started"),
        "deploy": ("service", "register the deployments of prefect.yaml again, on the server of `capmat up`"),
    },
    "Labels": {
        "mine": ("labels", "write the queue of boxes of a take that are worth a scribble, best first"),
        "scribble": ("labels", "serve the page on which people paint where the matte failed"),
        "scribbles": ("labels", "import, list, show or export label sets"),
    },
    "Models": {
        "models": ("models", "list, show, import, export or promote the models of the store"),
        "redistill": ("runs", "train and judge new models with the newest scribbles (a Prefect flow)"),
        "validate": ("validate", "score models on benchmarks and write a report (a Prefect flow)"),
        "benchmark": ("validate", "create, extend or show the benchmarks that models are measured on"),
        "reconstruct": ("geometry", "compare two alpha runs by radiance fields of one frame (a Prefect flow)"),
        "train-base": ("models", "train the base weights of one role from the base data"),
        "bench": ("models", "measure how fast a network runs on this machine"),
        "paper": ("runs", "run the paper's tables and figures and check its statements (a Prefect flow)"),
    },
    "Look": {
        "status": ("upkeep", "show takes, models in use, nights and what waits for a human, on one screen"),
        "ui": ("service", "serve the Prefect UI on this folder's database"),
        "metrics": ("night", "print figures of the last night in the text format of Prometheus"),
    },
    "Maintain": {
        "verify": ("upkeep", "check that every stored frame, plate and matte is intact; exit code 1 if not"),
        "gc": ("upkeep", "list the mattes and leftovers that may be removed; with --yes remove them"),
    },
}
"""The words of the help, in the order in which a person meets them."""

WORDS = {word: entry for words in GROUPS.values() for word, entry in words.items()}

_READERS = {"status", "verify", "gc", "metrics", "models None", "models list", "benchmark show", "scribbles list"}
"""Words, some with their verb, that would find nothing amiss where no store is."""
_USERS = {
    *(
        "demo",
        "nightly",
        "redistill",
        "reconstruct",
        "validate",
        "benchmark",
        "paper",
        "ingest",
        "export",
        "scribbles",
    ),
    *("scribble", "mine", "models", "plan", "hull", "scene", "stage check"),
}
"""Others that work with a store; they may begin one below the working folder."""
_LASTING = {
    *("demo", "nightly", "redistill", "reconstruct", "validate", "paper", "session", "ingest", "matte", "export"),
    *("scribble", "mine", "train-base", "sim", "ui", "up", "down", "deploy", "hull", "scene"),
}
"""Words whose result lasts, in a store, a file or a server. What the others print is all that they do."""
_UNWILLING = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
"""What a disk says of a place that a person has to mend, and no fault of the program."""
_WAITING = {"ui", "scribble"}
"""Words that wait for people, and are not silent for want of progress."""


def _anywhere() -> list[argparse.Action]:
    """The options that stand before or after any word."""
    shared = argparse.ArgumentParser(add_help=False)
    options: dict[str, dict[str, Any]] = {
        "--config": {"type": Path, "metavar": "FILE", "help": "settings (default: capmat.toml, if it exists)"},
        "--set": {"default": [], "metavar": "KEY=VALUE", "help": "override one setting; may be repeated"},
        "--new-store": {"nargs": 0, "const": True, "default": False, "help": "begin a store at `store`, also outside "
                        "of the working folder"},
        "--quiet": {"nargs": 0, "const": True, "default": False, "help": "print the result alone, without progress"},
        "--json-events": {"nargs": 0, "const": True, "default": False, "help": "one JSON object a line, for "
                          "programs; see docs/events.md"},
    }  # fmt: skip
    for name, how in options.items():
        shared.add_argument(name, action=Anywhere, **how)
    return shared._actions


def build_parser() -> Parser:
    """The parser of the whole command line; a word gets its options when it is used."""
    wide = max(map(len, WORDS))
    groups = [[f"{group}:", *(f"  {word:{wide}}  {text}" for word, (_, text) in words.items()), ""]
              for group, words in GROUPS.items()]  # fmt: skip
    told = f"capmat {version('capmat')}"
    first = f"{told}: mattes for capture stages, from recorded takes to promoted models."
    parser = Parser(
        prog="capmat",
        usage="capmat [OPTIONS] COMMAND ...",
        description="\n".join([first, "", *chain.from_iterable(groups)]).rstrip(),
        epilog="`capmat COMMAND --help` explains a command and shows examples.",
    )
    parser.add_argument("--version", action="version", version=told)
    shared = _anywhere()
    for action in shared:
        parser._add_action(action)
    words = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", prog="capmat", help=SUPPRESS)
    for word in WORDS:
        made = words.add_parser(word, description=WORDS[word][1])
        made.declare, made.anywhere = partial(_declare, word), shared
    return parser


def _declare(word: str, parser: Parser) -> None:
    """Give a word what its module says about it, when it is used."""
    options, work, examples = import_module(f"flows.command.{WORDS[word][0]}").WORDS[word]
    parser.set_defaults(work=work)
    parser.examples = dedent(examples).strip().splitlines()
    options(parser)


def spare_loopback() -> None:
    """Let nobody ask a proxy for this machine: neither us nor what we start, which inherits the variables."""
    proxied = any(name.lower().endswith("_proxy") for name in os.environ)
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if proxied and given != "*":
        names = [name for name in given.split(",") if name] + ["127.0.0.1", "localhost", "::1"]
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(dict.fromkeys(names))


def find_home() -> None:
    """Give libraries a folder to write to where the user has no home, or cannot write there, as in containers."""
    try:
        home = Path.home()
    except RuntimeError:
        home = None
    if home and os.access(home, os.W_OK):
        return
    own = Path(".capmat/home").absolute()
    try:
        for folder in (own.parent, own):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:  # a folder that is only read
        own = Path(mkdtemp(prefix="capmat-"))
        atexit.register(rmtree, own, ignore_errors=True)
    for name in ("PREFECT_HOME", "NUMBA_CACHE_DIR", *(() if home else ("HOME",))):
        os.environ.setdefault(name, str(own))


def _check_store(args: argparse.Namespace) -> None:
    """Refuse a place where no store lies, such as the empty folder on which a disk is not mounted."""
    words = {args.command, f"{args.command} {getattr(args, 'verb', '')}"}
    stored = words & (_READERS | _USERS) or (args.command == "matte" and args.take)
    if not args.new_store and not stored:
        return
    from storage.store.marker import begin_store, check_place, check_store
    from storage.store.root import Root

    root = Root(settings(args).store)
    if args.new_store:
        begin_store(root.checked())
    elif words & _READERS:
        check_store(root)
    else:
        check_place(root)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; see the module's exit codes.

    Args:
        argv: words after `capmat`; None takes them from the command line.
    """
    outlive()
    try:
        with ended_by_signals():
            return _run(argv)
    except KeyboardInterrupt as e:
        sys.stderr.write("capmat: interrupted\n")
        return _exit_code(e)


def _exit_code(interrupt: KeyboardInterrupt) -> int:
    return 128 + (interrupt.signal if isinstance(interrupt, Ended) else signal.SIGINT)


def _run(argv: Sequence[str] | None) -> int:
    given_words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if given_words[0] == "help":
        given_words = [*given_words[1:], "--help"]
    args = build_parser().parse_args(given_words)
    spare_loopback()
    find_home()
    given = vars(args)
    shown = chosen_display(
        args.command,
        quiet=args.quiet or bool(given.get("json")),  # a program that asked for JSON gets nothing else
        events=args.json_events,
        silent=args.quiet or args.command in _WAITING or bool(given.get("foreground")),
    )
    code = 1
    try:
        with shown, redirect_stdout(cast(TextIO, shown)):
            _check_store(args)
            code = int(args.work(args) or 0)
        prints = args.command not in _LASTING or given.get("json") or given.get("plan")
        if prints and (why := lost()):
            raise CapmatError(f"what {args.command} prints could not be written ({why})", where="standard output")
    except CapmatError as e:
        shown.refused(e)
        code = e.exit_code
    except OSError as e:
        if e.errno not in _UNWILLING or not e.filename:
            raise
        what, fix = f"cannot be used ({e.strerror})", "Check its owner, its permissions and the room on its disk."
        refusal = ConfigError(what, where=os.fsdecode(e.filename), fix=fix)
        shown.refused(refusal)
        code = refusal.exit_code
    except KeyboardInterrupt as e:
        sys.stderr.write("capmat: interrupted; the same command continues from here\n")
        code = _exit_code(e)
    finally:
        shown.done(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
