"""How large the paper is run, and what is refused before anything runs."""

from pathlib import Path

import pytest

from capmat_errors import ConfigError
from tasks.config import Config
from tasks.report.paper.preset import PARTS, at_preset, check_paper, chosen_parts
from tasks.runtime.settings import load_config
from tests.storage.tiny_session import edit_toml, write_session


def test_small_is_what_the_settings_say() -> None:
    config = Config()
    assert at_preset(config, "small") is config


def test_full_has_the_settings_of_the_paper_and_keeps_what_somebody_set() -> None:
    config = load_config(None, ["teacher.crop=256", "reconstruction.box_size=2.4", "paper.seeds=5"], {})
    full = at_preset(config, "full")
    assert (full.teacher.model, full.teacher.iterations, full.teacher.batch) == ("bg_vitmatte_s", 2000, 16)
    assert (full.teacher.lr, full.teacher.lr_late, full.teacher.lr_late_from) == (5e-5, 2.5e-5, 0.3)
    assert (full.teacher.scribble_share, full.teacher.noise) == (0.2, 0.1)
    assert (full.student.base_iterations, full.student.joint_iterations, full.student.batch) == (365, 1450, 8)
    assert (full.student.base_share, full.student.recolour, full.student.decay) == (0, 0, False)
    assert full.paper.share_iterations == full.teacher.iterations
    assert (full.teacher.crop, full.reconstruction.box_size, full.paper.seeds) == (256, 2.4, 5)
    assert full.reconstruction.preset == "paper"


def test_parts_come_in_the_order_of_the_paper_and_unknown_ones_are_refused() -> None:
    assert chosen_parts("fig6, table2") == ("table2", "fig6")
    assert chosen_parts("") == tuple(PARTS)
    with pytest.raises(ConfigError, match="fig7") as refused:
        chosen_parts("table1,fig7")
    assert "fig8" in refused.value.fix


@pytest.fixture
def session(tmp_path: Path) -> Path:
    folder = write_session(tmp_path / "day")
    edit_toml(folder, "[takes.walk]", '[takes.jump]\npath = "takes/walk/{camera}/{frame:04d}.png"\n[takes.walk]')
    return folder


def config(session: Path, *pairs: str) -> Config:
    return load_config(None, [f"session={session}", "pseudo_takes=jump", *pairs], {})


def test_a_session_without_a_benchmark_is_refused(session: Path) -> None:
    with pytest.raises(ConfigError, match="benchmark"):
        check_paper(config(session), ["fig5"])


def test_what_is_judged_on_is_not_trained_on(session: Path) -> None:
    edit_toml(
        session, "[takes.walk]", '[benchmark]\ntake = "walk"\ntrimaps = "t/{camera}/{frame:04d}.png"\n[takes.walk]'
    )
    assert check_paper(config(session), tuple(PARTS)) == "walk"
    for pairs in (["pseudo_takes=walk,jump"], ["scribble_takes=walk"]):
        with pytest.raises(ConfigError, match="benchmark's take walk is also trained on"):
            check_paper(config(session, *pairs), tuple(PARTS))


def test_takes_that_the_session_lacks_are_named(session: Path) -> None:
    with pytest.raises(ConfigError, match="pseudo_takes: the session has no take jmup; it has jump, walk"):
        check_paper(config(session, "pseudo_takes=jump,jmup"), tuple(PARTS))


def test_a_share_that_makes_no_crop_is_refused_only_where_shares_are_run(session: Path) -> None:
    edit_toml(
        session, "[takes.walk]", '[benchmark]\ntake = "walk"\ntrimaps = "t/{camera}/{frame:04d}.png"\n[takes.walk]'
    )
    small = config(session, "teacher.batch=4", "paper.shares=0,0.1")
    with pytest.raises(ConfigError, match="less than one scribbled crop"):
        check_paper(small, ["fig6"])
    assert check_paper(small, ["fig5"]) == "walk"
