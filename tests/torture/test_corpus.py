"""Malformed inputs are refused in one line that names the file and a reason: no fault, no hang, nothing stored."""

import shutil
from pathlib import Path

import pytest

from storage.store.marker import begin_store
from storage.store.root import Root
from tests.storage.tiny_session import tree
from tests.torture.children import Answer, Children
from tests.torture.corpus.case import Case
from tests.torture.corpus.sessions import cases
from tests.torture.sources import write_sources

LIMIT = 10.0
CASES = {case.name: case for case in cases()}
LONG = {case.name: case for case in cases(fuzz=25) if case.name not in CASES}


def _run_all(chosen: dict[str, Case], top: Path) -> dict[str, tuple[Answer, bool]]:
    """Every case's answer, and whether the store is as it was before."""
    sources = write_sources(top / "sources")
    children = Children(LIMIT)
    done = {}
    empty = top / "sources/nothing"
    empty.mkdir()
    stored = top / "stored"
    assert children.run(top, ["--set", f"store={stored}", "ingest", str(sources["png"])]).code == 0

    def one(name: str) -> None:
        case, folder = chosen[name], top / "cases" / f"{abs(hash(name)):x}"
        store = folder.with_suffix(".store")
        shutil.copytree(sources.get(case.source, empty), folder)
        if case.source == "stored":
            shutil.copytree(stored, store)
        else:
            begin_store(Root(store))
        case.mutate(folder)
        before = tree(store)
        answer = children.run(folder, ["--set", f"store={store}", *case.words])
        done[name] = answer, tree(store) == before and not (folder / "was_here").exists()
        shutil.rmtree(folder)
        shutil.rmtree(store, ignore_errors=True)

    try:
        children.map(one, chosen)
    finally:
        children.close()
    return done


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Answer, bool]]:
    return _run_all(CASES, tmp_path_factory.mktemp("corpus"))


def _check(case: Case, answer: Answer, untouched: bool) -> None:
    assert not answer.fault, answer.fault
    assert untouched, f"something was stored: {answer}"
    if case.may_pass and answer.code == 0:
        return
    assert answer.code == 2, answer
    said = answer.refusal or answer.said.partition("problem: ")[2]
    assert said.strip(), answer
    if answer.refusal:
        assert answer.refusal.startswith("capmat: "), answer.refusal
        first, *more = answer.refusal.splitlines()
        assert bool(more) == (f"{len(more)} mistakes" in first), answer.refusal  # one line, or one for each
        # What is wrong, and what to do about it.
        assert answer.refusal.count(". ") >= 1, answer.refusal
    missing = [name for name in case.names if name not in said]
    assert not missing, f"{missing} is not in: {said}"


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_input_is_refused_by_name(name: str, answers: dict[str, tuple[Answer, bool]]) -> None:
    _check(CASES[name], *answers[name])


def test_the_corpus_is_large_and_its_slowest_case_is_quick(answers: dict[str, tuple[Answer, bool]]) -> None:
    refused = [name for name, (answer, _) in answers.items() if answer.code == 2]
    slow = max(answers, key=lambda name: answers[name][0].seconds)
    print(f"{len(answers)} malformed inputs, {len(refused)} refused; the slowest took "
          f"{answers[slow][0].seconds} s: {slow}")  # fmt: skip
    assert len([name for name in refused if not CASES[name].may_pass]) >= 100


@pytest.mark.torture
def test_random_damage_never_makes_a_fault(tmp_path: Path) -> None:
    for name, (answer, untouched) in _run_all(LONG, tmp_path).items():
        _check(LONG[name], answer, untouched)
