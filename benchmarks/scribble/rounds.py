"""How many strokes does it take until the gate promotes a model? Rounds with more and more of them.

    python -m benchmarks.scribble.rounds                       # the teacher; some minutes a row
    python -m benchmarks.scribble.rounds --seed 1 --pictures 6 24
    python -m benchmarks.scribble.rounds --student --pictures 24

The simulated person of `capmat demo` paints one picture of a take of the sample session after the other, in an order
that the seed draws. From the second time on a picture gets more strokes. A round works as `capmat redistill` does: it
takes all strokes so far, starts from the base weights, and asks the gate about the new model against the base model,
on the benchmark of the session. Nothing is promoted, so that every row is compared with the same. The round with 0
pictures trains without strokes: what it gains is not theirs. A row that is there is not made again.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.mining import prepared
from storage.benchmark import Benchmark
from storage.labels.trimaps import truth_of
from storage.pictures.png import encode_png
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config, Gate
from tasks.ingest.session import take_record
from tasks.labels.in_use import newest_labels
from tasks.matte.take import MattesRecord, matte, open_run
from tasks.models.networks import Ref, Run, register_base
from tasks.runtime.form import asked
from tasks.sim.hand import strokes_on
from tasks.train.student import distill
from tasks.train.teacher import finetune
from tasks.validate.gate import decide
from tasks.validate.measure import hull_score
from tasks.validate.score import mean_scores, score_runs
from tasks.validate.supervise import make_benchmark

PAINTED, LABELLED = "amber", ("birch", "amber")
"""The take that the person paints on, and those that the teacher labels for the student, as in `make demo`."""


def painted(config: Config, pictures: int) -> int:
    """Paint so many pictures into the inbox; how many strokes that were."""
    take = Take.open(Root(config.store), PAINTED)
    run = next(name for name in take.alpha_runs() if name.startswith("teacher") and name.endswith("v0001"))
    keys = [(camera, frame) for camera in take.cameras for frame in take.frames]
    order = np.random.default_rng(config.seed).permutation(len(keys))
    truth, overlays, strokes = truth_of(config.truth, PAINTED), dict[tuple[str, int], np.ndarray](), 0
    for number in range(pictures):
        key = keys[order[number % len(keys)]]
        true = truth(*key)
        drawn = strokes_on(true, take.read_alpha(run, *key), np.random.default_rng([config.seed, number]))
        overlay = overlays.setdefault(key, np.zeros((*true.shape, 4), np.uint8))
        for where, colour in drawn:
            overlay[where] = colour
        strokes += len(drawn)
    for (camera, frame), overlay in overlays.items():
        Root(config.scribbles).write(f"{PAINTED}/{camera}/{frame:04d}.png", encode_png(overlay))
    return strokes


def matted(config: Config, take: str, role: str, model: Ref) -> MattesRecord:
    """Matte a whole take."""
    record, run = take_record(config.store, take), Run(role, model)
    open_run(config.store, take, run)
    return matte(config.store, take, record["cameras"], record["frames"], run, record["digest"])


def judged(config: Config, role: str, pair: dict[str, Ref], bench: Benchmark, gate: Gate) -> dict[str, Any]:
    """What the gate decides about a challenger and a champion whose mattes of the benchmark are there."""
    take, keys = Take.open(bench.root, bench.takes[0]), [(camera, frame) for _, camera, frame in bench.keys]
    runs = {row: Run(role, model).name for row, model in pair.items()}
    means, each = score_runs(take, runs, keys, lambda *key: bench.alpha(take.name, *key))
    _, true = score_runs(take, runs, keys, truth_of(config.truth, take.name))
    frames = {take.name: sorted({frame for _, frame in keys})}
    hull = {row: hull_score(config.store, frames, run, config.reconstruction) for row, run in runs.items()}
    decision = decide(each["champion"], each["challenger"], gate, hull=hull)
    known = {row: mean_scores(scores) for row, scores in true.items()}
    return {"supervisor": means, "truth": known, "hull": hull, **decision}


def rounds(config: Config, counts: list[int], file: Path, student: bool) -> None:
    """Work through the rounds; each adds a row to the file, and the table is printed anew."""
    prepared(config, sorted({"cedar", PAINTED, *LABELLED}))
    base = register_base(config.store, config.weights, config.architectures)
    ingested = take_record(config.store, "cedar")["digest"]
    made = make_benchmark(config.store, config.session, base["supervisor"], ingested, config.supervisor.steps, 0)
    bench = Benchmark.open(Root(config.store), made["benchmark"], made["version"])
    rows = {row["pictures"]: row for row in json.loads(file.read_text())} if file.exists() else {}
    for count in sorted(counts):
        if count not in rows:
            if count < max(rows, default=0):
                raise SystemExit(f"{max(rows)} pictures are painted already: give fewer to another --work or --seed")
            strokes = painted(config, max(count, 1))  # no training starts without labels
            labels = newest_labels(config.store, config.scribbles)
            rows[count] = {"pictures": count, "strokes": strokes * (count > 0), "labels": labels}
        row = rows[count]
        if "student" in row or ("teacher" in row and not student):
            continue
        share = config.teacher.scribble_share * (count > 0)
        settings = config.teacher.model_copy(update={"scribble_share": share})
        teacher = finetune(config.model_copy(update={"teacher": settings}), base["teacher"], row["labels"], made)
        models = {"teacher": teacher}
        if student:
            pseudo = [matted(config, take, "teacher", teacher["model"]) for take in LABELLED]
            models["student"] = distill(config, base["student"], pseudo, made)
        for role, model in models.items():
            matted(config, "cedar", role, model["model"])
            pair = {"champion": base[role], "challenger": model["model"]}
            row[role] = {"seconds": model["cpu_s"], **judged(config, role, pair, bench, config.gate)}
        some = [rows[count] for count in sorted(rows)]
        file.write_text(json.dumps(some, indent=2))
        print(f"\nseed {config.seed}\n{table(some)}", flush=True)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as markdown; MSE in 1e-4 and Grad in 1e-5, as in the paper."""
    lines = ["| pictures | strokes | model | seconds of training | MSE, base | MSE | Grad, base | Grad "
             "| MSE to the truth, base | MSE to the truth | gate |", "|" + "---:|" * 10 + "---|"]  # fmt: skip
    for row in rows:
        for role in [role for role in ("teacher", "student") if role in row]:
            one = row[role]
            figures = [
                f"{scale * one[kind][of][name]:.1f}"
                for kind, name, scale in (
                    ("supervisor", "mse", 1e4),
                    ("supervisor", "grad", 1e5),
                    ("truth", "mse", 1e4),
                )
                for of in ("champion", "challenger")
            ]
            cells = [row["pictures"], row["strokes"], role, round(one["seconds"]), *figures, one["decision"]]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run and print a table for docs/scribbling.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--pictures",
        type=int,
        nargs="+",
        default=[0, 1, 3, 6, 12, 24, 48],
        help="painted ones of each round; the take has 24, and `make demo` paints each once",
    )
    parser.add_argument("--student", action="store_true", help="distil and judge the student as well")
    parser.add_argument("--seed", type=int, default=0, help="of the order, the strokes and the trainings")
    parser.add_argument("--work", type=Path, default=Path(".capmat/benchmark-rounds"), help="folder for the stores")
    given = parser.parse_args()
    torch.set_num_threads(1)
    work = given.work.absolute() / f"seed{given.seed}"
    folders = {"store": work / "store", "scribbles": work / "scribbles", "seed": given.seed}
    config = asked("capmat.toml", [f"{key}={value}" for key, value in folders.items()])
    rounds(config, given.pictures, work / "rounds.json", given.student)


if __name__ == "__main__":
    main()
