"""`capmat models`, `train-base` and `bench`: the networks themselves."""

import getpass
import json
import os
from argparse import SUPPRESS, ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from capmat_errors import ConfigError
from flows.command.arguments import above_zero, number, positive, settings, share, size, verbs_of, whole, write_file
from storage.registry import ModelEntry, Registry
from storage.store.root import Root

_ROLES = ("teacher", "student", "supervisor")


def _models_options(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    verb = verbs_of(parser, required=False)
    verb("list", "list all models (the same as without VERB)").add_argument(
        "--json", action="store_true", default=SUPPRESS, help="print the list as JSON"
    )
    show = verb("show", "print the card of one model")
    show.set_defaults(work=show_model)
    show.add_argument("model", metavar="NAME[@VERSION]")

    bring = verb("import", "register published weights, or (with --contract) an exported network")
    bring.set_defaults(work=import_model)
    bring.add_argument("file", type=Path, help=".pth, .pt, .ckpt, .safetensors; exported: .onnx or TorchScript")
    bring.add_argument("--as", dest="network", required=True, metavar="NETWORK", help="see docs/models.md")
    bring.add_argument("--name", default="", help="name in the store (default: that of the network)")
    weights = bring.add_argument_group("published weights")
    weights.add_argument("--adapt", choices=("background",), help="turn trimap weights into those of a network that "
                         "takes a plate")  # fmt: skip
    weights.add_argument("--field", action="append", default=[], dest="changes", metavar="FIELD=VALUE",
                         help="a field of the network's configuration; may be repeated")  # fmt: skip
    graph = bring.add_argument_group("exported networks")
    graph.add_argument("--contract", choices=("rgb", "rgb+plate", "recurrent"), help="its inputs and memory")
    graph.add_argument("--range", choices=("0..1", "-1..1", "0..255", "imagenet"), default="0..1",
                       help="range of its input values (default: 0..1)")  # fmt: skip
    graph.add_argument("--order", choices=("rgb", "bgr"), default="rgb", help="of its channels (default: rgb)")
    graph.add_argument("--mean", type=numbers, default=(0.0,), metavar="N[,N,N]",
                       help="is subtracted from the range, in the order of the channels")  # fmt: skip
    graph.add_argument("--scale", type=numbers, default=(1.0,), metavar="N[,N,N]",
                       help="the difference is multiplied with it")  # fmt: skip
    graph.add_argument("--multiple", type=positive, default=1, metavar="N", help="sides are multiples of N")
    graph.add_argument("--side", type=whole, default=0, metavar="N",
                       help="shorter side of its input (default: 0, that of the frame)")  # fmt: skip
    graph.add_argument("--size", type=size, metavar="WxH", help="size of its input, where it takes only one")
    graph.add_argument("--alpha", default="", help="index or name of the alpha output, where several fit")

    export = verb("export", "write a model as a file for other programs: inputs src and bgr, outputs pha and fgr")
    export.set_defaults(work=export_model)
    export.add_argument("model", metavar="NAME[@VERSION]")
    export.add_argument("--format", choices=("safetensors", "torchscript", "onnx"), required=True)
    export.add_argument("--size", type=size, metavar="WxH", help="of the frames; fixed in TorchScript and ONNX files")
    export.add_argument("--out", type=Path, required=True, help="the file")

    promote = verb("promote", "put a model in use by hand; the record says so")
    promote.set_defaults(work=promote_model)
    promote.add_argument("role", choices=_ROLES)
    promote.add_argument("model", metavar="NAME[@VERSION]")
    promote.add_argument("--reason", required=True, help="why, for whoever asks in a year")

    rollback = verb("rollback", "put the previous model in use again; the record says who did it and why")
    rollback.set_defaults(work=roll_back)
    rollback.add_argument("role", choices=_ROLES)
    rollback.add_argument("--reason", required=True, help="why, for whoever asks in a year")


def numbers(text: str) -> tuple[float, ...]:
    """0.5 or 0.5,0.4,0.3."""
    return tuple(number(part) for part in text.split(","))


def list_models(args: Namespace) -> None:
    """Print every version of every model; a star marks those in use."""
    registry = _registry(args)
    entries = registry.entries()
    if args.json:
        print(json.dumps([{**entry, "champion": bool(_used_for(registry, entry))} for entry in entries], indent=2))
        return
    for entry in entries:
        mark, card = "*" if _used_for(registry, entry) else " ", entry["card"]
        role, kind = card.get("role") or "-", card.get("kind") or "-"
        print(f"{mark} {role:10} {entry['name']:22} {entry['version']}  {kind:15} {entry['added']}")
    print("* in use" if entries else "no models yet; capmat nightly registers the base weights")


def show_model(args: Namespace) -> None:
    """Print one model's card, and the roles that it is in use for."""
    registry = _registry(args)
    name, version = registry.find(args.model)
    (entry,) = [e for e in registry.entries(name) if e["version"] == version]
    roles = _used_for(registry, entry)
    print(f"{entry['name']}@{entry['version']}{f'   in use as {roles}' if roles else ''}")
    print(f"added        {entry['added']}")
    print(f"weights      {entry['bytes']} bytes, sha256 {entry['weights']}")
    for key, value in entry["card"].items():
        while isinstance(value, dict) and isinstance(value.get("start"), dict):  # what that was trained from, too
            print(f"{key:12} {_readable({name: inner for name, inner in value.items() if name != 'start'})}")
            value = value["start"]
        print(f"{key:12} {_readable(value)}")


def import_model(args: Namespace) -> None:
    """Import published weights or an exported network."""
    from tasks.models.imported import import_exported, import_weights
    from tasks.models.networks import card_of

    store = settings(args).store
    if args.contract:
        if args.adapt or args.changes:
            raise ConfigError("--adapt and --field apply only to weights", where=str(args.file), fix="Remove them.")
        fields = ("range", "order", "mean", "scale", "multiple", "side", "size", "alpha")
        contract = {key: getattr(args, key) for key in fields}
        name = args.name or args.network
        model = import_exported(store, args.file, name, {"kind": args.contract, **contract})
        for note in card_of(store, model).get("notes", ()):
            print(f"note: {note}")
    elif args.file.suffix == ".onnx":
        raise ConfigError("an exported network needs --contract", where=str(args.file), fix="See docs/models.md.")
    else:
        adapt = args.adapt == "background"
        model = import_weights(store, args.file, args.network, name=args.name, changes=args.changes, adapt=adapt)
    print(f"{model['name']}@{model['version']}   try it: capmat matte --model {model['name']}@{model['version']} ...")


def export_model(args: Namespace) -> None:
    """Write a model as a file."""
    from capmat_models.weights.export import export_network
    from tasks.matte.picture import open_model

    config = settings(args)
    network, name = open_model(config.store, Path(config.weights), args.model)
    data = export_network(network, args.format, args.size)
    write_file(args.out, data)
    print(f"{args.out}   {len(data) / 1e6:.1f} MB, {args.format} of {name}")


def promote_model(args: Namespace) -> None:
    """Put a model in use for a role, by hand."""
    from tasks.models.networks import build, find_model
    from tasks.validate.promote import check_role

    config, registry = settings(args), _registry(args)
    model = find_model(config.store, config.weights, args.model)
    record: dict[str, Any] = {"decision": "PROMOTE", "by": "hand", "reasons": [args.reason]}
    weights, card = registry.load(model["name"], model["version"])
    check_role(args.role, model, build(weights, card).inputs)
    former = registry.promote(args.role, model["name"], model["version"], record)
    before = f"; before: {former[0]}@{former[1]}" if former else ""
    print(f"{args.role}: {model['name']}@{model['version']}{before}")


def roll_back(args: Namespace) -> None:
    """Put the previous model of a role in use again."""
    former, now = _registry(args).roll_back(args.role, {"by": _user(), "reasons": [args.reason]})
    print(f"{args.role}: {'@'.join(now)}; taken back: {'@'.join(former)}")


def _registry(args: Namespace) -> Registry:
    return Registry(Root(settings(args).store))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container whose user has no name
        return f"user {os.getuid()}"


def _used_for(registry: Registry, entry: ModelEntry) -> str:
    roles = registry.root.names("promotions")
    return ", ".join(role for role in roles if registry.champion(role) == (entry["name"], entry["version"]))


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_readable(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return f"{len(value)} entries" if len(str(value)) > 200 else ", ".join(_readable(inner) for inner in value)
    return str(value)


def _train_options(parser: ArgumentParser) -> None:
    parser.add_argument("role", choices=_ROLES)
    parser.add_argument("--minutes", type=above_zero, default=25.0, help="train for this long (default: 25)")
    parser.add_argument("--iterations", type=positive, help="train this many steps, instead of --minutes")
    parser.add_argument("--crop", type=positive, metavar="PIXELS", help="side of the training window")
    parser.add_argument("--batch", type=positive, metavar="N", help="crops per step")
    parser.add_argument("--held", type=positive, metavar="N", help="foregrounds and backgrounds that are held out "
                        "and measured on (default: a tenth)")  # fmt: skip
    parser.add_argument("--mixed-precision", action="store_true", help="run the network in bfloat16, on a GPU")
    parser.add_argument("--lr", type=above_zero, help="highest learning rate (student: factor on its rates)")
    parser.add_argument("--start", type=Path, metavar="FILE", help="weights to start from: of the network, or of "
                        "whole parts of it")  # fmt: skip
    parser.add_argument("--blend", type=share, default=1.0, metavar="SHARE", help="of the trained weights in the "
                        "result; the rest is --start (default: 1)")  # fmt: skip
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="show 48 composites in a picture; train nothing")


def train_base(args: Namespace) -> None:
    """Train base weights from the base data."""
    from tasks.show.sheet import to_jpeg
    from tasks.train.base import show_composites, train_base_weights

    config = settings(args)
    if args.sheet:
        write_file(args.sheet, to_jpeg(show_composites(Path(config.base_data), config.seed)))
        return
    card = train_base_weights(
        args.role,
        config.architectures[args.role],
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
        lr=args.lr,
        blend=args.blend,
        threads=config.cluster.train_threads,
    )
    print(f"held out: MSE {card['metrics']['mse']:.2e}, SAD {card['metrics']['sad']:.2e}")


def _bench_options(parser: ArgumentParser) -> None:
    parser.add_argument("role", choices=("student", "teacher"))
    parser.add_argument("--size", type=size, default="1920x1080", metavar="WxH", help="default: 1920x1080")
    parser.add_argument("--cameras", type=positive, default=4, help="cameras in a batch of the student (default: 4)")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: the GPU, if the machine has one")
    parser.add_argument("--threads", type=positive, help="torch threads (default: one per core)")
    parser.add_argument("--rounds", type=positive, default=7, help="how often each row is timed (default: 7)")
    parser.add_argument("--network", help="default: the published size")


def bench(args: Namespace) -> None:
    """Time a network of published size (with random weights), and print a table."""
    import torch

    from tasks.models.bench import PAPER, bench_student, bench_teacher, table

    height, width = (max(64, side // 4 * 4) for side in args.size)
    frame = (height, width)
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    threads = args.threads or os.cpu_count() or 1
    how = {"device": device, "dtype": args.dtype, "threads": threads, "rounds": args.rounds}
    if args.role == "student":
        rows = bench_student(args.network or "bgmv2_mobilenetv2", frame, cameras=args.cameras, **how)
    else:
        rows = bench_teacher(args.network or "bg_vitmatte_s", frame, **how)
    print("\n".join(table(rows, frame, device, threads)))
    if args.role == "student":
        print(f"\n{PAPER}")


WORDS = {
    "models": (_models_options, list_models, """
        capmat models                                          # every version; a star marks those in use
        capmat models list --json                              # the same for programs
        capmat models show student                             # the card of the student in use
        capmat models import ViTMatte_S_Com.pth --as bg_vitmatte_s --adapt background
        capmat models import modnet.onnx --as modnet_export --contract rgb --range -1..1 --multiple 32
        capmat models export student --format onnx --size 1920x1080 --out student.onnx
        capmat models promote student bgmv2_mobilenetv2@v0002 --reason "released weights, new stage"
        capmat models rollback student --reason "flickers at the feet"
    """),
    "train-base": (_train_options, train_base, """
        capmat train-base student                              # 25 minutes, on base_data
        capmat train-base teacher --iterations 2000 --lr 1e-4
        capmat train-base student --sheet sheet.jpg            # what it trains on, as a picture; trains nothing
    """),
    "bench": (_bench_options, bench, """
        capmat bench student                                   # at 1920x1080
        capmat bench student --cameras 1 --size 1280x720
        capmat bench teacher --device cuda --dtype float16
    """),
}  # fmt: skip
