"""Broken sessions are refused before anything is written, in one line that says where and what to do."""

import shutil
from pathlib import Path

import pytest

import capmat_errors as errors
from storage.pictures.png import encode_png
from tasks.ingest.plates import ingest_plates
from tasks.ingest.session import check
from tasks.ingest.take import ingest_take
from tests.storage.tiny_session import (
    tree,
    write_session,
)
from tests.tasks.ingest import broken_descriptors, broken_sessions
from tests.tasks.ingest.broken_sessions import FRAME, Case, picture


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A sound session per picture format, to copy from."""
    top = tmp_path_factory.mktemp("sound")
    return {suffix: write_session(top / suffix[1:], suffix=suffix) for suffix in (".png", ".tif", ".exr")}


CASES = [*broken_sessions.CASES, *broken_descriptors.CASES]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_broken_session_is_refused_before_anything_is_written(
    case: Case, sound: dict[str, Path], tmp_path: Path
) -> None:
    session = tmp_path / "session"
    shutil.copytree(sound[case.suffix], session)
    case.breaks(session)
    store = tmp_path / "store"

    for ingest in (lambda: ingest_take(str(store), session, "walk"), lambda: check(str(session))):
        with pytest.raises(case.kind) as refusal:
            ingest()
        message = str(refusal.value)
        assert all(word in message for word in case.says), message
        assert "\n" not in message
        assert refusal.value.fix
        assert not store.exists()


def test_refused_session_leaves_a_filled_store_as_it_was(sound: dict[str, Path], tmp_path: Path) -> None:
    store, session = tmp_path / "store", tmp_path / "session"
    ingest_plates(str(store), sound[".png"])
    ingest_take(str(store), sound[".png"], "walk")
    before = tree(store)
    shutil.copytree(sound[".png"], session)
    (session / f"{FRAME}.png").write_bytes(encode_png(picture(5000)))
    with pytest.raises(errors.ImageUnreadable):
        ingest_take(str(store), session, "walk")
    assert tree(store) == before


def test_unknown_take_is_refused_with_those_there_are(sound: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="no take run; it has walk"):
        ingest_take(str(tmp_path / "store"), sound[".png"], "run")
