"""What the students without a teacher promise (Table 2 of the paper)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from capmat_errors import TrainingError
from capmat_models.data.augment import Augmentation
from capmat_models.training.loop import Hooks
from capmat_models.training.no_teacher import ScribbleStudentConfig, train_scribble_student
from tests.capmat_models.training.test_training import Memory, assert_equal, network
from tests.capmat_models.training_data import composites, scribbles

SHORT = ScribbleStudentConfig(
    base_iterations=3, second_iterations=3, batch=4, crop=64, scribble_share=0.5, save_every=1
)
STRATEGIES = ("scribbles_only", "frozen_refiner")


def train(strategy, model, config=SHORT, checkpointer=None):
    return train_scribble_student(strategy, model, composites(), scribbles(), config, hooks=Hooks(checkpointer))


def changed(model, before):
    """Parts of which a parameter or a running statistic differs, in its bits."""
    return {name.split(".")[0] for name, x in model.state_dict().items() if not torch.equal(x, before[name])}


def copy_of(model):
    return {name: x.clone() for name, x in model.state_dict().items()}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_killed_training_ends_in_the_same_bits(strategy):
    undisturbed, killed, resumed = network("student"), network("student"), network("student", seed=99)
    history = train(strategy, undisturbed)
    memory = Memory(dies_after=4)
    with pytest.raises(KeyboardInterrupt):
        train(strategy, killed, checkpointer=memory)
    assert train(strategy, resumed, checkpointer=memory) == history
    assert_equal(resumed, undisturbed)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_refiner_does_not_change_by_one_bit_while_the_base_network_learns_from_strokes(strategy):
    model = network("student")
    before = copy_of(model)
    train(strategy, model, replace(SHORT, second_iterations=0))
    assert changed(model, before) == {"backbone", "aspp", "decoder"}


def test_the_base_network_does_not_change_by_one_bit_while_the_refiner_learns_from_composites():
    model = network("student")
    before = copy_of(model)
    history = train("frozen_refiner", model, replace(SHORT, base_iterations=0))
    assert changed(model, before) == {"refiner"}
    assert all("scribble" not in record for record in history)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_with_scribbles_only_everything_learns_from_strokes_in_the_end():
    model = network("student")
    before = copy_of(model)
    history = train("scribbles_only", model, replace(SHORT, base_iterations=0))
    assert changed(model, before) == {"backbone", "aspp", "decoder", "refiner"}
    assert [record["stage"] for record in history] == ["joint"] * 3
    assert all("scribble" in record for record in history)


def test_the_painted_pixels_improve():
    calm = Augmentation(noise=0, jitter=0, shift=0)
    config = replace(SHORT, base_iterations=40, second_iterations=10, lr_scale=3, augmentation=calm)
    history = train("scribbles_only", network("student"), config)
    errors = [record["scribble"] for record in history]
    assert np.mean(errors[30:40]) < 0.5 * np.mean(errors[:10])
    assert np.mean(errors[40:]) < 0.8 * np.mean(errors[:10])


def test_a_batch_without_room_for_a_composite_is_refused():
    with pytest.raises(TrainingError, match="a batch has no room for a composite"):
        train("frozen_refiner", network("student"), replace(SHORT, scribble_share=1.0))
    with pytest.raises(TrainingError, match="a batch has no room for a composite"):
        train("scribbles_only", network("student"), replace(SHORT, batch=2))


def test_even_a_small_batch_has_one_scribbled_crop():
    history = train("scribbles_only", network("student"), replace(SHORT, scribble_share=0.2))
    assert all("scribble" in record for record in history)


def test_a_crop_that_the_refiner_cannot_cut_into_cells_is_refused():
    with pytest.raises(TrainingError, match="not a multiple of 4"):
        train("frozen_refiner", network("student"), replace(SHORT, crop=66))
