"""docs/cost.md holds what benchmarks/cost.py computes from benchmarks/prices.yaml."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def cost() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cost", ROOT / "benchmarks" / "cost.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def prices() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "benchmarks" / "prices.yaml").read_text(encoding="utf-8"))
    return found


def test_the_page_is_the_script_s_own(cost: ModuleType, prices: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
    between = page.split(cost.BEGIN)[1].split(cost.END)[0].strip()
    assert between == cost.tables(prices), "python benchmarks/cost.py --write docs/cost.md"


def test_a_rate_by_hand(cost: ModuleType) -> None:
    """10 cores at 5 ms decode 2,000 a second; 2 GPUs that reach 50 TFLOP/s at 100 GFLOP make 1,000."""
    prices = {
        "images_a_second": {"X": None},
        "tflops": {"X": 100},
        "reached_share": 0.5,
        "model": {"gflop_an_image": 100},
        "decode_ms_an_image": 5,
        "cores_for_decoding_share": 0.5,
    }
    instance = {"gpu": "X", "gpus": 2, "vcpus": 40}
    assert cost.rate(prices, instance) == (1000, "the GPU")
    assert cost.rate({**prices, "images_a_second": {"X": 5000}}, instance) == (2000, "decoding")
    assert cost.hours_and_dollars(7_200_000, 1000, 3) == (2, 6)


def test_from_how_many_vectors_on_another_kind_is_taken(cost: ModuleType) -> None:
    from multimodal_search.index.choice import choose

    budget = 10_000_000_000
    most = [cost.most_rows(kind, 768, budget) for kind in cost.KINDS]
    assert most == sorted(set(most))
    for kind, following, rows in zip(cost.KINDS, cost.KINDS[1:], most, strict=False):
        assert choose(rows, 768, "auto", "cosine", budget).kind == kind
        assert choose(rows + 1, 768, "auto", "cosine", budget).kind == following
    with pytest.raises(ValueError, match="--memory-budget"):
        choose(most[-1] + 1, 768, "auto", "cosine", budget)


def test_a_measured_rate_is_no_longer_called_an_estimate(cost: ModuleType, prices: dict[str, Any]) -> None:
    assert "are estimates" in cost.tables(prices)
    measured = {**prices, "images_a_second": dict.fromkeys(prices["images_a_second"], 500)}
    assert "Rates are measured" in cost.tables(measured)
