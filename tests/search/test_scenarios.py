"""Votes turn a query toward what was meant; scenarios survive kills and say so where they are damaged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search.errors import BundleError, DataError, SettingsError
from multimodal_search.search.scenarios import Scenario, Scenarios, fit

RANDOM = np.random.default_rng(0)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture
def world() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(query, moments that are meant, moments that only look like it)."""
    meant, alike = unit(RANDOM.standard_normal((2, 32)))
    query = unit(meant + alike)
    good, bad = (unit(one + 0.12 * RANDOM.standard_normal((60, 32))) for one in (meant, alike))
    return query, good, bad


def precision(head: np.ndarray, good: np.ndarray, bad: np.ndarray) -> float:
    scores = np.concatenate([good, bad]) @ head
    best = np.argsort(-scores)[:20]
    return float((best < len(good)).mean())


def test_a_few_votes_find_the_kind_that_was_meant(world: tuple[np.ndarray, ...]) -> None:
    query, good, bad = world
    before = precision(query, good[5:], bad[5:])
    after = precision(fit(query, good[:3], bad[:3]), good[5:], bad[5:])
    assert before < 0.8
    assert after > 0.95


def test_without_votes_it_is_the_query_and_one_vote_moves_less_than_ten(
    world: tuple[np.ndarray, ...],
) -> None:
    query, good, _ = world
    assert np.allclose(fit(query, good[:0], good[:0]), query)
    one, ten = fit(query, good[:1], good[:0]), fit(query, good[:10], good[:0])
    assert 0.8 < one @ query < 1
    assert np.isclose(np.linalg.norm(ten), 1)
    assert ten @ unit(good[:10].mean(axis=0)) > query @ unit(good[:10].mean(axis=0))


def test_votes_alone_are_a_direction_and_nothing_is_none(world: tuple[np.ndarray, ...]) -> None:
    _, good, bad = world
    nothing = np.zeros(32)
    assert precision(fit(nothing, good[:3], bad[:3]), good, bad) > 0.95
    with pytest.raises(DataError, match="no direction"):
        fit(nothing, good[:0], bad[:2])


def scenario(name: str) -> Scenario:
    return Scenario(
        name, {"text": [["rain", 1.0]]}, "image", (0.6, 0.8), "f" * 8, up=("a",), where="speed > 1"
    )


@settings(max_examples=40)
@given(st.text(min_size=1, max_size=30).filter(str.strip))
def test_any_name_comes_back(name: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as home:
        store = Scenarios(Path(home))
        store.save(scenario(name))
        store.save(scenario("another"))
        assert store.load(name) == scenario(name)
        assert set(store.names()) == {name, "another"}
        store.delete(name)
        assert name not in store.names() or name == "another"


def test_unknown_damaged_and_nameless_scenarios_are_said(tmp_path: Path) -> None:
    store = Scenarios(tmp_path)
    with pytest.raises(SettingsError, match="none yet"):
        store.load("wet")
    store.save(scenario("wet road"))
    with pytest.raises(SettingsError, match="wet road"):
        store.load("wet roads")
    with pytest.raises(SettingsError, match="no name"):
        store.save(scenario("  "))
    next((tmp_path / "scenarios").glob("*.json")).write_text("{")
    with pytest.raises(BundleError, match="cannot be read"):
        store.load("wet road")


def test_confirmed_scenarios_survive_kill_minus_nine(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from multimodal_search.search.scenarios import Scenario, Scenarios\n"
        "store = Scenarios(Path(sys.argv[1]))\n"
        "for number in range(100000):\n"
        "    store.save(Scenario(f'n{number}', {}, 'image', (1.0,), 'f'))\n"
        "    print(number, flush=True)\n"
    )
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), root], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) == 7:
                os.kill(child.pid, signal.SIGKILL)
                break
        confirmed = 7 + sum(1 for _ in child.stdout)
    assert {f"n{number}" for number in range(confirmed + 1)} <= set(Scenarios(tmp_path).names())
