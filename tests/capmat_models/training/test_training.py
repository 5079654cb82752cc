"""What the trainings promise: they learn, they resume to the bit, they say what is wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from capmat_errors import CheckpointError, TrainingError
from capmat_models.networks.factory import create_model
from capmat_models.training.base import NO_PLATE, BaseTrainConfig, train_base
from capmat_models.training.distill import DistillConfig, distill_student
from capmat_models.training.loop import NO_HOOKS, Hooks
from capmat_models.training.resume import unpack
from capmat_models.training.teacher import FinetuneConfig, finetune_teacher
from tests.capmat_models.training_data import NOTHING, base_data, composites, pairs, scribbles

TEACHER = {
    "embed_dim": 16,
    "depth": 3,
    "num_heads": 2,
    "global_blocks": (1,),
    "detail_channels": (4, 8, 8),
    "fusion_channels": (8, 8, 4, 4),
}
SUPERVISOR = {
    "embed_dim": 16, "depth": 2, "num_heads": 2, "global_blocks": (1,),
    "down_channels": (4, 8, 8), "mid_channels": 8,
}  # fmt: skip
STUDENT = {"encoder": "mobilenetv2_035", "aspp_channels": 8, "decoder_channels": (8, 8, 8)}
NETWORKS = {
    "teacher": ("bg_vitmatte_xs", TEACHER),
    "student": ("bgmv2_mobilenetv2_xs", STUDENT),
    "supervisor": ("diffmatte_xs", SUPERVISOR),
}
FINETUNE = FinetuneConfig(iterations=4, batch=5, crop=32, lr=1e-3, lr_late_from=0.5, save_every=1)
DISTILL = DistillConfig(base_iterations=3, joint_iterations=3, batch=4, crop=64, save_every=1)
BASE = BaseTrainConfig(iterations=4, batch=2, crop=32, save_every=1, validate_on=2)


class Memory:
    """A checkpointer that can pull the plug."""

    where = "memory"

    def __init__(self, dies_after=None):
        self.data, self.dies_after = None, dies_after

    def load(self):
        return self.data

    def save(self, data):
        self.data = data
        if self.dies_after is not None:
            self.dies_after -= 1
            if self.dies_after == 0:
                self.dies_after = None
                raise KeyboardInterrupt


def network(kind, seed=0, **changes):
    name, sizes = NETWORKS[kind]
    torch.manual_seed(seed)
    return create_model(name, **sizes, **changes)


def finetune(model, checkpointer=None):
    return finetune_teacher(model, composites(), scribbles(), FINETUNE, hooks=Hooks(checkpointer))


def distill(model, checkpointer=None):
    return distill_student(model, pairs(), DISTILL, hooks=Hooks(checkpointer))


def base(kind):
    config = replace(BASE, batch=4, crop=64) if kind == "student" else BASE

    def train(model, checkpointer=None):
        held = base_data(2)
        return train_base(kind, model, base_data(), config, held=held, hooks=Hooks(checkpointer))

    return train


TRAININGS = {
    "finetune": ("teacher", finetune),
    "distill": ("student", distill),
    **{f"base {kind}": (kind, base(kind)) for kind in NETWORKS},
}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_killed_training_ends_in_the_same_bits(name):
    kind, train = TRAININGS[name]
    undisturbed, killed = network(kind), network(kind)
    history = train(undisturbed)
    memory = Memory(dies_after=3)
    with pytest.raises(KeyboardInterrupt):
        train(killed, memory)
    torch.rand(3)  # what else the process draws must not matter
    resumed = network(kind, seed=99)
    assert train(resumed, memory) == history
    assert_equal(resumed, undisturbed)


def test_a_checkpoint_names_its_settings_as_it_always_did():
    """So that a training which an earlier version began goes on: the late rate by its first iteration."""
    memory = Memory()
    finetune(network("teacher"), memory)
    unpack(memory.data, "", recipe=repr(FINETUNE).replace("lr_late_from=0.5", "lr_late_from=2"))


def test_a_finished_training_is_not_run_again():
    memory, model = Memory(), network("teacher")
    history = finetune(model, memory)
    again, calls = network("teacher", seed=5), []
    assert (
        finetune_teacher(
            again,
            composites(),
            scribbles(),
            FINETUNE,
            hooks=Hooks(memory, lambda done, _note: calls.append(done)),
        )
        == history
    )
    assert calls == []
    assert_equal(again, model)


def assert_equal(ours, theirs):
    expected = theirs.state_dict()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_a_checkpoint_of_other_settings_is_refused():
    memory = Memory()
    finetune(network("teacher"), memory)
    with pytest.raises(CheckpointError, match="memory: the checkpoint belongs to other settings"):
        finetune_teacher(
            network("teacher"), composites(), scribbles(), replace(FINETUNE, lr=1e-4), hooks=Hooks(memory)
        )


def one_number_changed(data):
    weight = unpack(data, "", recipe=repr(replace(FINETUNE, lr_late_from=2)))["model"]["backbone.pos_embed"].numpy()
    assert data.count(weight.tobytes()) == 1
    return data.replace(weight.tobytes(), (weight + 1).tobytes())


@pytest.mark.parametrize("damage", [lambda data: data[:1000], one_number_changed, lambda _: b"", bytes.lower])
def test_a_damaged_checkpoint_is_refused(damage):
    memory = Memory()
    finetune(network("teacher"), memory)
    memory.data = damage(memory.data)
    with pytest.raises(CheckpointError, match="memory: the training checkpoint cannot be read"):
        finetune(network("teacher"), memory)


def test_finetuning_follows_the_strokes_and_leaves_running_statistics_alone():
    model = network("teacher")
    before = {name: x.clone() for name, x in model.state_dict().items() if "running" in name}
    config = replace(FINETUNE, iterations=80, lr=1e-2, lr_late=1e-2, layer_decay=1.0, noise=0.0)
    history = finetune_teacher(model, composites(), scribbles(), config)
    first, last = (np.mean([record["scribble"] for record in part]) for part in (history[:16], history[-16:]))
    assert last < 0.8 * first
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not model.training


def test_the_share_decides_how_many_crops_of_a_batch_are_scribbled():
    seen = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 1, 1)

        def forward(self, src, bgr):
            # the stage of the scribbles is flat, base backgrounds are not (the noise is off)
            seen.append(int((bgr.std((2, 3)).amax(1) < 1e-3).sum()))
            return {"pha": torch.sigmoid(self.conv(src))}

    config = replace(FINETUNE, batch=10, noise=0.0)
    for share, expected in ((0.2, 2), (0.5, 5), (1.0, 10)):
        seen.clear()
        finetune_teacher(Spy(), composites(), scribbles(), replace(config, scribble_share=share))
        assert seen == [expected] * config.iterations
    with pytest.raises(TrainingError, match="less than one scribbled crop"):
        finetune_teacher(Spy(), composites(), scribbles(), replace(config, scribble_share=0.01))
    with pytest.raises(TrainingError, match="no scribbles are given"):
        finetune_teacher(Spy(), composites(), None, config)
    finetune_teacher(Spy(), composites(), None, replace(config, scribble_share=0.0))


def test_the_first_stage_of_distillation_leaves_the_refiner_alone():
    model = network("student")
    before = {name: x.clone() for name, x in model.state_dict().items()}
    distill_student(model, pairs(), replace(DISTILL, joint_iterations=0))
    changed = {name.split(".")[0] for name, x in model.state_dict().items() if not torch.equal(x, before[name])}
    assert changed == {"backbone", "aspp", "decoder"}


@pytest.mark.parametrize("frozen", [True, False])
def test_a_distillation_can_leave_running_statistics_alone(frozen):
    model = network("student")
    before = {name: x.clone() for name, x in model.state_dict().items()}
    distill_student(model, pairs(), replace(DISTILL, frozen_norms=frozen))
    same = all(torch.equal(x, before[name]) for name, x in model.state_dict().items() if "running" in name)
    assert same == frozen


def test_histories_name_their_stages():
    history = distill(network("student"))
    assert [record["stage"] for record in history] == ["base"] * 3 + ["joint"] * 3
    assert [record["iteration"] for record in history] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("kind", NETWORKS)
def test_base_training_learns_and_reports_held_out_errors(kind):
    model = network(kind)
    config = replace(
        BASE,
        iterations=60,
        batch=4,
        crop=64 if kind == "student" else 32,
        lr=3e-3,
        lr_scale=10,
        layer_decay=1.0,
        how=NOTHING,
    )
    history = train_base(kind, model, base_data(), config, held=base_data(2))
    assert history[-1]["stage"] == "validation"
    assert set(history[-1]) == {"iteration", "stage", "mse", "sad"}
    losses = [record["total"] for record in history if record["stage"] in (kind, "base")]
    assert np.mean(losses[-10:]) < 0.95 * np.mean(losses[:10])


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_without_plate_a_network_sees_the_same_pictures_and_grey_in_place_of_the_plate(kind, monkeypatch):
    seen = {True: [], False: []}
    for plate in (True, False):
        model = network(kind)
        name = "forward" if kind == "teacher" else "base"
        inner = getattr(model, name)

        def watched(src, bgr, inner=inner, plate=plate):
            seen[plate].append((src.clone(), bgr.clone()))
            return inner(src, bgr)

        monkeypatch.setattr(model, name, watched)
        train_base(kind, model, base_data(), replace(BASE, iterations=2, batch=4, crop=64, plate=plate))
    for (src, bgr), (same, grey) in zip(seen[True], seen[False], strict=True):
        assert torch.equal(src, same)
        torch.testing.assert_close(grey, torch.full_like(bgr, NO_PLATE), atol=1e-6, rtol=0)  # a student's is shrunk
        assert not torch.equal(bgr, grey)


def test_a_loss_that_is_not_a_number_stops_the_training():
    model = network("teacher")
    with torch.no_grad():
        model.decoder.matting_head.matting_convs[3].bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="iteration 0: the loss is not a number.*Lower"):
        finetune(model)


def test_training_leaves_the_random_numbers_of_its_caller_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    model = network("student")
    torch.manual_seed(3)
    distill(model)
    assert torch.equal(torch.rand(2), expected)


def test_mixed_precision_trains_as_well():
    history = finetune_teacher(network("teacher"), composites(), scribbles(), replace(FINETUNE, mixed_precision=True))
    assert all(np.isfinite(record["total"]) for record in history)


def watched(train):
    """A training with a look at it: the figures depend on the network as it is at that moment."""

    def with_look(model, checkpointer=None):
        src = torch.from_numpy(np.random.default_rng(0).random((1, 3, 32, 32), np.float32))

        def validate(done):
            assert not model.training
            with torch.no_grad():
                return {"mean": float(model(src, src)["pha"].double().mean()), "done": float(done)}

        return train(model, Hooks(checkpointer, validate=validate, validate_every=2))

    return with_look


WATCHED = {
    "teacher": lambda model, hooks: finetune_teacher(model, composites(), scribbles(), FINETUNE, hooks=hooks),
    "student": lambda model, hooks: distill_student(model, pairs(), DISTILL, hooks=hooks),
}


@pytest.mark.parametrize("kind", WATCHED)
def test_looking_at_a_training_changes_no_bit_of_it(kind):
    seen, unseen = network(kind), network(kind)
    history = watched(WATCHED[kind])(seen)
    assert [r for r in history if r["stage"] != "validation"] == WATCHED[kind](unseen, NO_HOOKS)
    assert_equal(seen, unseen)


@pytest.mark.parametrize("kind", WATCHED)
def test_a_killed_training_that_is_looked_at_ends_in_the_same_bits_and_figures(kind):
    train = watched(WATCHED[kind])
    undisturbed, killed, resumed = network(kind), network(kind), network(kind, seed=99)
    history = train(undisturbed)
    memory = Memory(dies_after=3)
    with pytest.raises(KeyboardInterrupt):
        train(killed, memory)
    assert train(resumed, memory) == history
    assert_equal(resumed, undisturbed)
    total = history[-1]["iteration"]
    assert [r["done"] for r in history if r["stage"] == "validation"] == list(range(0, total + 1, 2))


def test_the_supervisor_learns_from_the_truth_first_and_then_from_its_own_guess():
    """So that in sampling, where the truth is not at hand, more steps do not add to its errors."""
    model, seen = network("supervisor"), []
    model.decoder.register_forward_pre_hook(lambda _, args: seen.append((args[1].detach(), torch.is_grad_enabled())))
    history = train_base("supervisor", model, base_data(), replace(BASE, iterations=3, save_every=9))
    assert [record["stage"] for record in history] == ["supervisor", "supervisor", "self-aligned"]
    assert [learns for _, learns in seen] == [True, True, False, False, True]

    def follows(x):
        """How far the noisy matte, the last channel, follows what the trimap knows (channels 3 and 5)."""
        known = x[:, 5] - x[:, 3]
        return abs(np.corrcoef(known.flatten(), x[:, 6].flatten())[0, 1])

    with_truth, _, from_noise, _, with_guess = (follows(x) for x, _ in seen)
    assert max(from_noise, with_guess) < with_truth
