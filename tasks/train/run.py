"""The frame of every training: what is held out, the looks at it, its checkpoint, its model in the registry.

A recipe hands in what is its own as a `Training`, with the function that fits the network. Everything else happens
here, once for all of them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NotRequired

from storage.registry import Registry
from storage.store.root import Root
from storage.takes.sources import sources
from storage.takes.take import Take
from tasks.config import Config
from tasks.labels.in_use import LabelsRecord
from tasks.models.networks import Ref, described, load_network
from tasks.runtime.checkpoint import StoreCheckpointer
from tasks.runtime.progress import Progress
from tasks.runtime.step import StepRecord, digest
from tasks.train.base_data import load_base_data
from tasks.train.held_back import LabelError, compared, label_error
from tasks.train.plates import stage_plates, window
from tasks.train.watch import Frame, hold_out, watch

if TYPE_CHECKING:
    from capmat_models.data.composites import Composites
    from capmat_models.training.loop import History, Hooks


@dataclass(frozen=True)
class Training:
    """What one training has of its own.

    Attributes:
        name: part of the keys of its checkpoint and its pictures; made from everything that the result depends on.
        title: the network in words: `teacher`.
        words: the work in words: `fine-tune teacher`.
        base: the model to start from; the result is its next version.
        iterations: of the whole training.
        crop: side of the training window in pixels of what the network sees.
        takes: what it learns from; the plates of their stages are backgrounds of base composites, too.
        plate_share: share of the composites that have one of them.
        fit: fit(network, composites, hooks, size) trains in place and returns the history; `size` is that of
            `tasks.train.plates.window`.
        frames: what the pictures show.
        card: what the model's card says of it.
        against: see `tasks.train.watch.watch`.
        noise: largest standard deviation of the noise of composites; None for the default.
        labels: record of a label set whose held-back part is measured before and after; None measures nothing.
    """

    name: str
    title: str
    words: str
    base: Ref
    iterations: int
    crop: int
    takes: Sequence[str]
    plate_share: float
    fit: "Callable[[Any, Composites, Hooks, dict[str, Any]], History]"
    frames: Sequence[Frame]
    card: dict[str, Any]
    against: str = "stage"
    noise: float | None = None
    labels: LabelsRecord | None = None


class TrainingRecord(StepRecord):
    """What a training leaves behind.

    Attributes:
        model: what was registered.
        history: losses and figures by iteration, see `capmat_models.training.loop.run_phases`.
        pictures: keys in the store, of the last `sheet` and of the `curves`.
        label_error: on labels that are held back, if there are any.
    """

    model: Ref
    history: list[dict[str, Any]]
    pictures: dict[str, str]
    label_error: NotRequired[LabelError]


def digests_of(store: str, takes: Iterable[str]) -> dict[str, str]:
    """What stands for the pictures and plates of some takes, by name; an input of what is trained on them."""
    root = Root(store)
    return {take: digest(sources(Take.open(root, take))) for take in sorted(set(takes))}


def train(config: Config, training: Training) -> TrainingRecord:
    """Train a copy of a model on base data and more, and register the result."""
    from capmat_models.data.composites import Composites, Difficulty
    from capmat_models.training.loop import Hooks
    from capmat_models.weights.state import dump_weights

    store, base = config.store, training.base
    root = Root(store)
    network = load_network(store, base, config.cluster.train_threads, fresh=True)
    how = Difficulty() if training.noise is None else Difficulty(noise_level=training.noise)
    learn, held = hold_out(load_base_data(config.base_data))
    composites = Composites(learn, how, stage_plates(root, training.takes), training.plate_share)
    size = window(root, training.takes, network, training.crop)
    look = watch(
        root,
        training.name,
        training.title,
        network,
        training.frames,
        held,
        iterations=training.iterations,
        crop=size["crop"],
        against=training.against,
    )
    before = label_error(store, training.labels, network)
    keeper = StoreCheckpointer(store, training.name)
    progress = Progress(training.words, training.iterations, "iterations")
    history = training.fit(network, composites, Hooks(keeper, progress, look.validate, look.every), size)
    record: TrainingRecord = {"model": base, "history": history, "pictures": look.pictures}
    card = {**described(network), "parent": base, **training.card}
    if before and (after := label_error(store, training.labels, network)):
        card["label_error"] = record["label_error"] = compared(before, after)
    version = Registry(root).add(base["name"], dump_weights(network), card)
    keeper.forget()
    return {**record, "model": Ref(name=base["name"], version=version)}
