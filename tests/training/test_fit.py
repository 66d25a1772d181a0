"""The gates of training: it learns pairs, not noise, and keeps what held-out scenes prefer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from multimodal_search.closed_form import mean_reciprocal_ranks
from multimodal_search.errors import DataError, SettingsError
from multimodal_search.projectors.bundle import save_projectors
from multimodal_search.settings.models import TrainSettings
from multimodal_search.splits import Splits, make_splits
from multimodal_search.training.batches import BatchPlan
from multimodal_search.training.fit import FitResult, fit, untrained
from multimodal_search.training.module import AlignmentModule, Objective
from multimodal_search.training.warm_start import start_heads
from multimodal_search.types import Modality, MomentFeatures

IMAGE, TEXT, SERIES = Modality.IMAGE, Modality.TEXT, Modality.TIMESERIES
Make = Callable[..., MomentFeatures]


def _settings(**options: Any) -> TrainSettings:
    return TrainSettings(**{"dim": 16, "epochs": 6, "trainer": {"enable_progress_bar": False}, **options})


def _project(result: FitResult, features: MomentFeatures, modality: Modality) -> np.ndarray:
    rows = features.sets[modality].primary_rows(len(features.items))
    return result.projectors[modality].project(features.sets[modality].vectors[rows])


def _recall_at_1(result: FitResult, features: MomentFeatures) -> float:
    scores = _project(result, features, IMAGE) @ _project(result, features, TEXT).T
    return float(np.mean(scores.argmax(axis=1) == np.arange(len(scores))))


def test_64_pairs_are_learnt_by_heart(make_features: Make, tmp_path: Path) -> None:
    features = make_features(64, moments=1, dims=(96, 96, 4), noise=3.0)
    result = fit(features, Splits(features.scenes(), (), ()), _settings(dim=64, epochs=20), tmp_path)
    assert _recall_at_1(result, features) == 1.0
    assert result.chosen["image"] == "trained (epoch 20)"


def test_the_sigmoid_loss_learns_the_same_pairs_by_other_heads(make_features: Make, tmp_path: Path) -> None:
    features = make_features(64, moments=1, dims=(96, 96, 4), noise=3.0)
    splits = Splits(features.scenes(), (), ())
    settings = _settings(dim=64, epochs=20, learning_rate=5e-3)
    one = fit(features, splits, settings, tmp_path / "infonce")
    two = fit(features, splits, settings.model_copy(update={"loss": "sigmoid"}), tmp_path / "sigmoid")
    losses = [entry["train/loss"] for entry in two.history[1:]]
    assert losses[-1] < losses[0]
    assert _recall_at_1(two, features) == 1.0
    for modality in (IMAGE, TEXT):
        assert not torch.allclose(
            one.projectors[modality].linear.weight, two.projectors[modality].linear.weight, atol=1e-4
        )


def test_the_loop_itself_learns_64_pairs_without_a_warm_start(make_features: Make) -> None:
    features = make_features(64, moments=1, dims=(96, 96, 4), noise=3.0)
    heads = start_heads(features, 64, 0).heads
    for head in heads.values():
        torch.nn.init.xavier_uniform_(head.linear.weight)
    module = AlignmentModule(heads, Objective(3e-3, 200))
    optimizer = module.configure_optimizers()["optimizer"]
    plan = BatchPlan(features, batch_items=None, seed=0)
    for step in range(200):
        optimizer.zero_grad()
        module.loss(plan.batch(0, step)).backward()
        optimizer.step()
    assert _recall_at_1(FitResult(module.projectors, {}), features) == 1.0


@pytest.mark.parametrize("pre_aligned", [False, True])
def test_shuffled_pairs_teach_nothing_about_unseen_scenes(
    make_features: Make, tmp_path: Path, pre_aligned: bool
) -> None:
    features = make_features(200, moments=1, pre_aligned=pre_aligned)
    order = np.random.default_rng(0).permutation(200)
    shuffled = replace(features.sets[TEXT], vectors=features.sets[TEXT].vectors[order])
    features = MomentFeatures(features.items, {**features.sets, TEXT: shuffled})
    scenes = features.scenes()
    result = fit(features, Splits(scenes[:80], scenes[80:100], scenes[100:]), _settings(), tmp_path)
    unseen = features.select(scenes[100:])
    ranks = mean_reciprocal_ranks(_project(result, unseen, IMAGE), _project(result, unseen, TEXT))
    chance = float(np.sum(1 / np.arange(1, 101)) / 100)
    assert abs(ranks.mean() - chance) < 3 * ranks.std() / 10


def test_unaligned_encoders_meet_on_unseen_scenes(make_features: Make, tmp_path: Path) -> None:
    features = make_features(150)
    splits = make_splits(features.items)
    result = fit(features, splits, _settings(), tmp_path)
    assert _recall_at_1(result, features.select(splits.test)) > 0.4
    assert [entry["epoch"] for entry in result.history][:2] == [0.0, 1.0]
    assert {"train/loss", "val/mrr", "val/text->image"} <= set(result.history[1])
    assert any("CCA" in note for note in result.notes)
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()
    assert list((tmp_path / "logs" / "csv").rglob("metrics.csv"))


def test_a_pre_aligned_pair_starts_as_its_encoders(make_features: Make) -> None:
    features = make_features(20, pre_aligned=True, dims=(24, 24, 12))
    result = untrained(features, make_splits(features.items), _settings())
    for modality in (IMAGE, TEXT):
        vectors = features.sets[modality].vectors
        np.testing.assert_allclose(result.projectors[modality].project(vectors), vectors, atol=1e-6)
    assert result.chosen == {"image": "start", "text": "start"}
    assert any("untrained" in note for note in result.notes)


def test_few_held_out_scenes_keep_the_encoders_own_space(make_features: Make, tmp_path: Path) -> None:
    features = make_features(20, pre_aligned=True)
    result = fit(features, make_splits(features.items), _settings(), tmp_path)
    assert result.chosen == {"image": "start", "text": "start"}
    assert any("too few to tell" in note for note in result.notes)


def _improvable(make_features: Make) -> tuple[MomentFeatures, Splits]:
    """A pre-aligned pair, half of whose coordinates are noise of one side, loud."""
    features = make_features(200, moments=1, pre_aligned=True, dims=(32, 32, 4), noise=0.1)
    rng = np.random.default_rng(5)
    sets = {}
    for modality in (IMAGE, TEXT):
        vectors = features.sets[modality].vectors.copy()
        vectors[:, 16:] += 0.5 * rng.normal(size=(200, 16))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        sets[modality] = replace(features.sets[modality], vectors=vectors.astype(np.float32))
    features = MomentFeatures(features.items, sets)
    scenes = features.scenes()
    return features, Splits(scenes[:100], scenes[100:140], scenes[140:])


def test_training_is_taken_where_held_out_scenes_gain_and_is_the_best_checkpoint_bit_for_bit(
    make_features: Make, tmp_path: Path
) -> None:
    features, splits = _improvable(make_features)
    result = fit(features, splits, _settings(epochs=20), tmp_path)
    assert result.chosen["image"].startswith("trained")
    unseen = features.select(splits.test)
    raw = untrained(features, splits, _settings())
    assert _recall_at_1(result, unseen) > _recall_at_1(raw, unseen) + 0.1
    best = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
    assert result.chosen["image"] == f"trained (epoch {best['epoch'] + 1})"
    for modality, head in result.projectors.items():
        for name, value in head.state_dict().items():
            assert torch.equal(best["state_dict"][f"heads.{modality}.{name}"], value)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(
    make_features: Make, tmp_path: Path
) -> None:
    features = make_features(40, signals=True)
    splits = Splits(features.scenes(), (), ())
    written = []
    for name, seed in (("one", 1), ("two, elsewhere", 1), ("three", 2)):
        result = fit(features, splits, _settings(seed=seed, epochs=3), tmp_path / name)
        written.append([path.read_bytes() for path in save_projectors(tmp_path / name, result.projectors)])
    assert len(written[0]) == 3
    assert written[0] == written[1]
    assert written[0] != written[2]


def test_signals_find_texts_of_their_class_and_leave_the_other_heads_alone(
    make_features: Make, tmp_path: Path
) -> None:
    options = {"scenes": 300, "moments": 1, "dims": (48, 48, 20), "pre_aligned": True}
    features = make_features(**options, signals=True)
    splits = make_splits(features.items)
    result = fit(features, splits, _settings(), tmp_path / "with")
    without = MomentFeatures(features.items, {one: features.sets[one] for one in (IMAGE, TEXT)})
    alone = fit(without, splits, _settings(), tmp_path / "without")
    for modality in (IMAGE, TEXT):
        assert torch.equal(
            result.projectors[modality].linear.weight, alone.projectors[modality].linear.weight
        )
    unseen = features.select(splits.test)
    label = np.array([item.metadata["manoeuvre"] for item in unseen.items])
    scores = _project(result, unseen, SERIES) @ _project(result, unseen, TEXT).T
    relevant = label[np.argsort(-scores, axis=1)] == label[:, None]
    precision = np.cumsum(relevant, axis=1) / np.arange(1, len(label) + 1)
    mean_ap = float(np.mean((precision * relevant).sum(axis=1) / relevant.sum(axis=1)))
    chance = float(np.mean(label[:, None] == label))
    assert mean_ap > 0.6 > 3 * chance


def test_missing_modalities_are_masked(make_features: Make, tmp_path: Path) -> None:
    features = make_features(60, signals=True)
    rng = np.random.default_rng(0)
    sets = {}
    for modality, one in features.sets.items():
        keep = rng.random(len(one.item_index)) < 0.6
        sets[modality] = replace(one, item_index=one.item_index[keep], row_index=one.row_index[keep])
    features = MomentFeatures(features.items, sets)
    result = fit(features, make_splits(features.items), _settings(), tmp_path)
    assert set(result.projectors) == {IMAGE, TEXT, SERIES}
    assert all(math.isfinite(entry["train/loss"]) for entry in result.history[1:])


@pytest.mark.parametrize("kept", [(IMAGE,), (SERIES,), (IMAGE, SERIES), (TEXT, SERIES)])
def test_any_modalities_give_heads(make_features: Make, tmp_path: Path, kept: tuple[Modality, ...]) -> None:
    features = make_features(30, signals=True)
    features = MomentFeatures(features.items, {one: features.sets[one] for one in kept})
    result = fit(features, make_splits(features.items), _settings(epochs=2), tmp_path)
    assert set(result.projectors) == set(kept)
    for modality in kept:
        assert np.isfinite(_project(result, features, modality)).all()
    if len(kept) == 1:
        assert any("one modality only" in note for note in result.notes)


@pytest.mark.parametrize("scenes", [1, 2, 3])
@pytest.mark.parametrize("pre_aligned", [False, True])
def test_one_two_and_three_scenes_give_finite_heads(
    make_features: Make, tmp_path: Path, scenes: int, pre_aligned: bool
) -> None:
    features = make_features(scenes, signals=True, pre_aligned=pre_aligned)
    result = fit(features, make_splits(features.items), _settings(epochs=2), tmp_path)
    assert set(result.projectors) == {IMAGE, TEXT, SERIES}
    assert all(np.isfinite(_project(result, features, modality)).all() for modality in result.projectors)


def test_a_batch_of_two(make_features: Make, tmp_path: Path) -> None:
    features = make_features(12, signals=True)
    result = fit(features, make_splits(features.items), _settings(batch_size=2, epochs=2), tmp_path)
    assert all(math.isfinite(entry["train/loss"]) for entry in result.history[1:])


def test_no_features_at_all_is_an_error(make_features: Make, tmp_path: Path) -> None:
    features = make_features(5)
    empty = MomentFeatures(
        features.items,
        {
            one: replace(s, item_index=s.item_index[:0], row_index=s.row_index[:0])
            for one, s in features.sets.items()
        },
    )
    with pytest.raises(DataError, match="5 training scenes"):
        fit(empty, Splits(features.scenes(), (), ()), _settings(), tmp_path)


def test_logit_scales_stay_within_their_bounds(make_features: Make, tmp_path: Path) -> None:
    features = make_features(40, moments=1, noise=0.0)
    splits = make_splits(features.items)
    high = fit(features, splits, _settings(learning_rate=2.0), tmp_path / "high")
    assert all(1.0 <= value <= 50.0 + 1e-3 for value in high.logit_scales.values())
    module = AlignmentModule(start_heads(features, 8, 0).heads, Objective(1e-3, 10))
    with torch.no_grad():
        module.log_scales["image-text"].fill_(9.0)
    assert module.scales()["image-text"] == pytest.approx(100.0)
    module.on_train_batch_end()
    assert module.log_scales["image-text"].item() == pytest.approx(math.log(100))


def test_unknown_trainer_options_name_the_nearest_and_owned_ones_their_flag(
    make_features: Make, tmp_path: Path
) -> None:
    features = make_features(6)
    splits = make_splits(features.items)
    with pytest.raises(SettingsError, match="gradient_clip_val"):
        fit(features, splits, _settings(trainer={"gradient_clip_value": 1.0}), tmp_path)
    with pytest.raises(SettingsError, match="--epochs"):
        fit(features, splits, _settings(trainer={"max_epochs": 3}), tmp_path)
    assert not list(tmp_path.iterdir()), "nothing half-written"


def test_cuda_without_one_is_a_settings_error(
    make_features: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    features = make_features(6)
    with pytest.raises(SettingsError, match="--device cuda"):
        fit(features, make_splits(features.items), _settings(device="cuda"), tmp_path)
