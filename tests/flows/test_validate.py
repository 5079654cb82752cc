"""`capmat validate` scores each model once, whoever names it."""

from pathlib import Path

import pytest

from capmat_errors import ConfigError
from flows.validate import contest, contestants
from storage.registry import Registry
from storage.store.root import Root
from tasks.models.networks import Ref, read_base_weights
from tests.project import WEIGHTS

BASE = {"teacher": Ref(name="vit", version="v0001"), "student": Ref(name="mobile", version="v0001")}
REFINED = {**BASE, "student": Ref(name="mobile", version="v0003")}


def test_models_in_use_are_scored_beside_the_base_models() -> None:
    assert list(contestants(BASE, BASE, [])) == ["teacher_base", "student_base"]
    rows = contestants(BASE, REFINED, [])
    assert list(rows) == ["teacher_base", "student_base", "student_in_use"]
    assert rows["student_in_use"] == ("student", REFINED["student"])


def test_a_named_model_mattes_under_its_own_name_unless_it_is_there_already() -> None:
    other = Ref(name="modnet", version="v0002")
    rows = contestants(BASE, REFINED, [REFINED["student"], other, other])
    assert list(rows) == ["teacher_base", "student_base", "student_in_use", "modnet@v0002"]
    assert rows["modnet@v0002"] == ("modnet", other)


def test_a_challenger_stands_beside_the_model_in_use_or_alone_if_there_is_none(tmp_path: Path) -> None:
    store, registry = str(tmp_path), Registry(Root(tmp_path))
    for name in ("bgmv2_mobilenetv2_xs", "diffmatte_xs"):
        weights, card = read_base_weights(WEIGHTS, name)
        for number in range(2):
            registry.add(name, weights, {**card, "architecture": name, "number": number})
    one, two = (Ref(name="bgmv2_mobilenetv2_xs", version=f"v000{i}") for i in (1, 2))
    assert contest(store, "student", [two]) == {"challenger": ("student", two)}
    registry.promote("student", one["name"], one["version"], {})
    assert contest(store, "student", [two]) == {"champion": ("student", one), "challenger": ("student", two)}
    for named, says in (
        ([], "asks about one model"),
        ([one, two], "asks about one model"),
        ([one], "is in use already"),
        ([Ref(name="diffmatte_xs", version="v0001")], "takes src and trimap, a student gets src and bgr"),
    ):
        with pytest.raises(ConfigError, match=says):
            contest(store, "student", named)
