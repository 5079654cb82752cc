"""A step runs once: its record answers for it ever after, until one of its inputs changes."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.runtime.step import digest, run_once

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON))
def test_the_digest_does_not_depend_on_the_order_of_keys(inputs: dict[str, Any]) -> None:
    assert digest(inputs) == digest(dict(reversed(inputs.items())))


def test_a_recorded_step_is_not_run_again(tmp_path: Path) -> None:
    calls: list[int] = []

    def work() -> dict[str, Any]:
        calls.append(1)
        return {"answer": 42}

    first = run_once(str(tmp_path), "verb", "a subject", {"x": 1}, work)
    second = run_once(str(tmp_path), "verb", "a subject", {"x": 1}, work)
    assert (len(calls), first["reused"], second["reused"]) == (1, False, True)
    assert {k: v for k, v in second.items() if k != "reused"} == {k: v for k, v in first.items() if k != "reused"}
    run_once(str(tmp_path), "verb", "a subject", {"x": 2}, work)
    assert len(calls) == 2


def test_a_failed_step_leaves_no_record(tmp_path: Path) -> None:
    def broken() -> dict[str, Any]:
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        run_once(str(tmp_path), "verb", "s", {}, broken)
    assert run_once(str(tmp_path), "verb", "s", {}, lambda: {"fine": True})["reused"] is False
