"""Teachers from fresh weights for `capmat paper`: as usual, without plate (Table 1), without noise (Fig. 5).

All three see the same pictures in the same order for the same number of steps, so they differ only by the plate or
the noise. The trainings are short, and their models are never put in use.
"""

from typing import Any

from storage.registry import Registry
from storage.store.root import Root
from tasks.config import Config
from tasks.models.networks import Ref, described
from tasks.runtime.checkpoint import StoreCheckpointer
from tasks.runtime.progress import Progress
from tasks.runtime.step import Record, digest, retryable, run_once
from tasks.train.base import small_settings
from tasks.train.base_data import load_base_data
from tasks.train.watch import hold_out


def train_short(config: Config, noise: float, plate: bool) -> Record:
    """Train a teacher of the settings' architecture from fresh weights and register it as `paper-<network>`.

    Args:
        config: the settings; its seed decides the first weights and every batch.
        noise: highest standard deviation of the noise on both inputs; 0 for none.
        plate: False for a network that is shown grey in place of the plate.

    Returns:
        Record with `model` (a Ref) and the training `history`.
    """
    store, seed = config.store, config.seed
    network, iterations = config.teacher.model, config.paper.base_iterations
    inputs = {
        "network": network,
        "base_data": config.base_data,
        "iterations": iterations,
        "noise": noise,
        "plate": plate,
        "seed": seed,
    }

    def work() -> dict[str, Any]:
        import torch

        from capmat_models.data.composites import Difficulty
        from capmat_models.networks.factory import create_model
        from capmat_models.training.base import BaseTrainConfig, train_base
        from capmat_models.training.loop import Hooks
        from capmat_models.weights.state import dump_weights

        torch.set_num_threads(config.cluster.train_threads)
        settings = {**small_settings("teacher", network), "iterations": iterations, "plate": plate}
        recipe = BaseTrainConfig(
            **settings,
            how=Difficulty(noise_level=noise),
            average=0,
            warmup=min(250, iterations // 8),
            seed=seed,
            save_every=100,
        )
        torch.manual_seed(seed)
        model = create_model(network).to("cuda" if torch.cuda.is_available() else "cpu")
        keeper = StoreCheckpointer(store, f"paper-{digest(inputs)}")
        what = "without plate" if not plate else "without noise" if not noise else "with plate and noise"
        history = train_base(
            "teacher",
            model,
            hold_out(load_base_data(config.base_data))[0],
            recipe,
            hooks=Hooks(keeper, Progress(f"train a teacher {what}", iterations, "iterations")),
        )
        card = {**described(model), "role": "", "kind": "paper", "settings": settings, "seed": seed}
        name = f"paper-{network}"
        version = Registry(Root(store)).add(name, dump_weights(model), card)
        keeper.forget()
        return {"model": Ref(name=name, version=version), "history": history}

    return run_once(store, "paper-train", network, inputs, work)


_WORDS = "train {config.teacher.model}, noise {noise}, plate {plate}"
train_short_task = retryable("train from nothing", _WORDS, gpu=True)(train_short)
