"""A second opinion on a benchmark: where two supervisors disagree, the one that made it may be wrong.

The two know different things. Closed-form matting looks at this picture alone; DiffMatte has learned what subjects
look like. Nothing is replaced: a person looks at the pictures that are named, and draws a narrower band there.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from capmat_errors import MatteError
from storage.benchmark import Benchmark
from storage.store.root import Root
from storage.takes.take import Take
from tasks.models.networks import Ref, card_of, inputs_of, load_network
from tasks.runtime.progress import Progress, say
from tasks.runtime.step import StepRecord, retryable, run_once
from tasks.validate.promote import check_role
from tasks.validate.supervise import noise_seed, supervise

Doubts = Mapping[str, float]
"""Pictures (`take/camera/frame`) on which the supervisor may be wrong, and how far the second opinion is from it: the
mean over the whole picture of (difference of the two mattes)²."""


class OpinionRecord(StepRecord):
    """How far a second supervisor is from the mattes of a benchmark."""

    differences: dict[str, float]  # as in `Doubts`, of all pictures


def second_opinion(
    store: str, benchmark: tuple[str, str], models: Sequence[Ref], steps: int, seed: int, limit: float
) -> Doubts:
    """Matte the trimaps of a benchmark with another supervisor than the one that made it.

    Args:
        store: URL of the store.
        benchmark: name and version.
        models: supervisors; each picture is given to the first that did not make its matte.
        steps: of DiffMatte's sampling.
        seed: start of its noise; each picture has a stream of its own.
        limit: from which difference on a picture is doubtful.

    Raises:
        ConfigError: a model takes no trimap.
        NotFound: the benchmark, or one of its takes, is not there.
    """
    for model in models:
        check_role("supervisor", model, inputs_of(card_of(store, model)))
    frozen = Benchmark.open(Root(store), *benchmark)

    def work() -> OpinionRecord:
        differences, bar = {}, Progress("second opinion", len(frozen), "pictures")
        for number, (take, camera, frame) in enumerate(frozen.keys, 1):
            by = frozen.supervisor(take, camera, frame)
            others = [model for model in models if model["name"] != by.get("name")]
            if not others:
                continue
            src, trimap = Take.open(frozen.root, take).read(camera, frame), frozen.trimap(take, camera, frame)
            where = f"take {take} camera {camera} frame {frame}"
            try:
                stream = noise_seed(seed, take, camera, frame)
                pha = supervise(load_network(store, others[0]), src, trimap, steps, stream, where)
            except MatteError as error:  # not every supervisor can matte every picture
                say(f"no second opinion: {error}")
            else:
                difference = np.square(pha - frozen.alpha(take, camera, frame), dtype=np.float64)
                differences[f"{take}/{camera}/{frame}"] = float(difference.mean())
            bar(number, camera)
        return {"differences": differences}

    inputs = {"benchmark": benchmark, "models": models, "steps": steps, "seed": seed}
    record = run_once(store, "second-opinion", " ".join(benchmark), inputs, work)
    return {picture: difference for picture, difference in record["differences"].items() if difference > limit}


second_opinion_task = retryable("second opinion", "second opinion on {benchmark}", gpu=True)(second_opinion)
