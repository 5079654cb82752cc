"""Trainings show a network its crops at the size at which it sees the frames."""

from dataclasses import replace

from capmat_models.data.composites import Composites
from capmat_models.training.base import train_base
from capmat_models.training.distill import distill_student
from capmat_models.training.no_teacher import train_scribble_student
from capmat_models.training.teacher import finetune_teacher
from tests.capmat_models.training.test_no_teacher import SHORT
from tests.capmat_models.training.test_training import BASE, DISTILL, FINETUNE, network
from tests.capmat_models.training_data import base_data, composites, pairs, scribbles


def sides(model):
    """The sides of what the backbone sees from here on."""
    seen = set()
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.add(inputs[0].shape[-1]))
    return seen


def test_crops_of_small_frames_are_enlarged_as_the_frames_are():
    model = network("teacher")
    seen = sides(model)
    finetune_teacher(model, composites(), scribbles(), replace(FINETUNE, iterations=1, enlarge=2))
    assert seen == {2 * FINETUNE.crop}
    model = network("student")
    seen = sides(model)
    distill_student(model, pairs(), replace(DISTILL, base_iterations=1, joint_iterations=1, enlarge=2))
    assert seen == {int(2 * DISTILL.crop * model.backbone_scale)}
    seen.clear()
    short = replace(SHORT, base_iterations=1, second_iterations=1, enlarge=2)
    train_scribble_student("scribbles_only", model, composites(), scribbles(), short)
    assert seen == {int(2 * SHORT.crop * model.backbone_scale)}


def test_small_crops_of_a_base_training_are_enlarged_to_the_size_of_the_others(monkeypatch):
    drawn, draw, model = set(), Composites.sample, network("teacher")
    seen = sides(model)
    monkeypatch.setattr(Composites, "sample", lambda self, rng, crop: drawn.add(crop) or draw(self, rng, crop))
    train_base("teacher", model, base_data(), replace(BASE, crop=64, small=0.5, iterations=6))
    assert (drawn, seen) == ({32, 64}, {64})
