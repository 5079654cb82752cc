"""`capmat validate` scores each model once, whoever names it."""

from flows.validate import contestants
from tasks.models import Ref

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
