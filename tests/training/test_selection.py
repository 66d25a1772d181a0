"""The signal encoder is chosen by what it finds in logs it never saw; of equals, the simpler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from multimodal_search.splits import Splits
from multimodal_search.training.selection import choose_series_encoder
from multimodal_search.types import Modality, MomentFeatures

Make = Callable[..., MomentFeatures]
SERIES = Modality.TIMESERIES


def _with(features: MomentFeatures, vectors: np.ndarray) -> MomentFeatures:
    signals = replace(features.sets[SERIES], vectors=vectors.astype(np.float32))
    return MomentFeatures(features.items, {**features.sets, SERIES: signals})


@pytest.fixture
def features(make_features: Make) -> MomentFeatures:
    return make_features(120, signals=True, logs=12)


def test_the_informative_encoder_wins_wherever_it_stands(features: MomentFeatures) -> None:
    splits = Splits(features.scenes()[:100], (), ())
    noise = _with(features, np.random.default_rng(0).normal(size=(240, 12)))
    for candidates in ({"a": features, "b": noise}, {"b": noise, "a": features}):
        name, scores = choose_series_encoder(candidates, splits)
        assert name == "a"
        assert scores["a"] > scores["b"] + 0.05


def test_of_equals_the_first_is_kept(features: MomentFeatures) -> None:
    splits = Splits(features.scenes(), (), ())
    doubled = _with(features, features.sets[SERIES].vectors * 2 + 1)
    name, scores = choose_series_encoder({"simple": features, "rich": doubled}, splits)
    assert name == "simple"
    assert scores["simple"] == pytest.approx(scores["rich"], abs=0.02)


def test_only_training_scenes_are_looked_at(features: MomentFeatures) -> None:
    splits = Splits(features.scenes()[:60], (), features.scenes()[60:])
    changed = features.sets[SERIES].vectors.copy()
    changed[120:] = np.random.default_rng(0).normal(size=changed[120:].shape)
    one = choose_series_encoder({"a": features, "b": features}, splits)
    two = choose_series_encoder({"a": _with(features, changed), "b": _with(features, changed)}, splits)
    assert one == two


def test_where_nothing_can_be_compared_the_first_is_taken_without_scores(make_features: Make) -> None:
    one_log = make_features(10, signals=True, logs=1)
    splits = Splits(one_log.scenes(), (), ())
    assert choose_series_encoder({"a": one_log, "b": one_log}, splits) == ("a", {})
    assert choose_series_encoder({"a": one_log}, splits) == ("a", {})
    alone = MomentFeatures(one_log.items, {SERIES: one_log.sets[SERIES]})
    assert choose_series_encoder({"a": alone, "b": alone}, splits) == ("a", {})
