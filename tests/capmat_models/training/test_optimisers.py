"""Learning rates: by depth, by part, by iteration."""

import numpy as np
import pytest

from capmat_errors import TrainingError
from capmat_models.training.optimisers import cosine, layerwise_groups, part_groups
from tests.capmat_models.training.test_training import network


def test_rates_fall_with_the_distance_from_the_head():
    model = network("teacher")
    groups = layerwise_groups(model, 1.0, decay=0.5, weight_decay=0.1)
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    parameters = dict(model.named_parameters())
    assert len(rate) == len(parameters)
    assert rate[id(parameters["backbone.pos_embed"])] == 0.5**4
    assert rate[id(parameters["backbone.blocks.0.attn.qkv.weight"])] == 0.5**3
    assert rate[id(parameters["backbone.blocks.2.attn.qkv.weight"])] == 0.5
    residual = next(name for name in parameters if ".residual." in name)
    assert rate[id(parameters[residual])] == 1
    assert rate[id(parameters["decoder.fusion_blks.0.conv.conv.weight"])] == 1
    undecayed = {id(p) for group in groups if group["weight_decay"] == 0 for p in group["params"]}
    assert id(parameters["backbone.blocks.0.norm1.weight"]) in undecayed
    assert id(parameters["backbone.blocks.0.attn.qkv.weight"]) not in undecayed


def test_a_part_that_is_not_there_is_named():
    with pytest.raises(TrainingError, match="no part called neck"):
        part_groups(network("student"), {"neck": 1.0})


def test_the_rate_rises_and_falls():
    rates = [cosine(i, 100, 10) for i in range(100)]
    assert np.argmax(rates) in (9, 10)
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] < 0.03
