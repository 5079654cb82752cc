"""Before a round starts, its takes are known: those that somebody named, or those that are new."""

from pathlib import Path

import numpy as np
import pytest

from capmat_errors import ConfigError, TrainingError
from storage.labels.freeze import freeze_labels
from storage.labels.label_set import LABELS
from storage.store.root import Root
from tasks.config import Config
from tasks.ingest.plates import ingest_plates
from tasks.ingest.take import ingest_take
from tasks.labels.in_use import mark_used, newest_labels
from tasks.runtime.settings import load_config
from tasks.train.ready import check_labels, check_round
from tests.storage.tiny_session import CAMERAS, HEIGHT, WIDTH, edit_toml, tree, write_session

BASE = Path(__file__).parents[3] / "samples/base"


@pytest.fixture
def session(tmp_path: Path) -> Path:
    folder = write_session(tmp_path / "day")
    edit_toml(folder, "[takes.walk]", '[benchmark]\ntake = "walk"\ntrimaps = "trimaps"\n\n[takes.walk]')
    return folder


def config(session: Path, *pairs: str) -> Config:
    store, inbox = session.parent / "store", session.parent / "inbox"
    (session.parent / "capmat.toml").touch()
    given = [f"session={session}", f"store={store}", f"scribbles={inbox}", f"base_data={BASE}", *pairs]
    return load_config(session.parent / "capmat.toml", given, {})


def add_takes(session: Path, *names: str) -> None:
    for name in names:
        edit_toml(
            session, "[takes.walk]", f'[takes.{name}]\npath = "takes/walk/{{camera}}/{{frame:04d}}.png"\n[takes.walk]'
        )


def chosen(session: Path, *pairs: str) -> tuple[str, ...]:
    return check_round(config(session, *pairs)).pseudo_takes


def store_walk(session: Path) -> None:
    store, day = str(session.parent / "store"), str(write_session(session.parent / "without-benchmark"))
    ingest_plates(store, day)
    ingest_take(store, day, "walk")


def paint(session: Path, name: str, frame: int) -> None:
    """Label another frame, as the page does at Done."""
    label = np.full((HEIGHT, WIDTH), 255, np.uint8)
    label[:10, :10], label[20:24, 20:24] = 0, 1
    freeze_labels(Root(session.parent / "store"), LABELS, [(name, CAMERAS[0], frame, label)])


def finish_round(session: Path, *takes: str) -> None:
    store = str(session.parent / "store")
    mark_used(store, newest_labels(store), {"student": "HOLD"}, takes)


def test_named_takes_are_used_as_they_are(session: Path) -> None:
    add_takes(session, "jump")
    assert chosen(session, "pseudo_takes=jump,walk") == ("jump", "walk")
    given = config(session, "pseudo_takes=walk")
    assert check_round(given) is given


def test_without_names_they_are_the_takes_that_serve_nothing_else(session: Path) -> None:
    assert chosen(session) == ("walk",)  # better than none
    add_takes(session, "jump", "turn", "wave-val", "bow")
    assert chosen(session, "scribble_takes=jump", "validation_takes=*-val") == ("turn", "bow")
    assert tree(session.parent / "store") == {}


def test_a_later_round_takes_what_is_new_and_a_repeated_one_the_same(session: Path) -> None:
    add_takes(session, "jump")
    store_walk(session)
    paint(session, "walk", 0)
    assert chosen(session) == ("jump",)
    finish_round(session, "jump")
    assert chosen(session) == ("jump",)  # the same labels: the same round
    paint(session, "walk", 1)
    with pytest.raises(ConfigError) as refused:
        chosen(session)
    assert str(refused.value) == (
        "pseudo_takes: every take of the session (jump, walk) is labelled in an earlier round, or kept for "
        "scribbles, validation or the benchmark, so the teacher has none to label. "
        "Add a take to the session, or name takes here."
    )
    assert chosen(session, "pseudo_takes=jump") == ("jump",)
    add_takes(session, "turn")
    assert chosen(session) == ("turn",)
    assert chosen(session) == ("turn",)  # killed before its end and begun again
    finish_round(session, "turn")
    assert chosen(session) == ("turn",)


def test_takes_that_do_not_exist_are_named(session: Path) -> None:
    add_takes(session, "jump")
    for setting in ("pseudo_takes", "scribble_takes"):
        with pytest.raises(ConfigError, match=f"{setting}: the session has no take jmup; it has jump, walk"):
            chosen(session, f"{setting}=jump,jmup")


def test_overlays_behind_a_link_are_labels(session: Path, tmp_path: Path) -> None:
    (tmp_path / "painted").mkdir()
    (tmp_path / "painted/0001.png").touch()
    (session.parent / "inbox").mkdir(exist_ok=True)
    (session.parent / "inbox/walk").symlink_to(tmp_path / "painted")
    check_labels(config(session))


def test_missing_base_data_are_named_before_any_work(session: Path) -> None:
    with pytest.raises(TrainingError) as refused:
        chosen(session, "base_data=nowhere")
    assert str(refused.value) == (
        f"{Path('nowhere').absolute()}: the base data have no pictures in foregrounds/ and backgrounds/. "
        "Set `base_data` to the folder of the base data; docs/training.md says what it holds."
    )


def test_a_scribble_take_of_another_session_counts_if_the_store_has_it(session: Path) -> None:
    store_walk(session)
    edit_toml(session, "[takes.walk]", "[takes.jump]")
    edit_toml(session, 'take = "walk"', 'take = "jump"')
    assert chosen(session, "scribble_takes=walk") == ("jump",)
