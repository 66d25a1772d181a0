"""What metrics.json says of heads whose quality is known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from multimodal_search.metrics import evaluate
from multimodal_search.splits import Splits
from multimodal_search.types import FeatureSet, Modality, MomentFeatures


@pytest.fixture(scope="module")
def measured(world, oracle, thirds):
    features, mix = world()
    statistics = replace(features.sets[Modality.TIMESERIES], fingerprint="statistics")
    return evaluate(features, oracle(mix), thirds(), statistics=statistics)


def test_every_direction_between_the_modalities_is_there(measured):
    assert set(measured["directions"]) == {
        "image->text", "image->timeseries", "text->image", "text->timeseries", "timeseries->image",
        "timeseries->text", "image->image", "timeseries->timeseries", "text[ja]->image", "image->text[ja]",
        "text[ja]->timeseries", "timeseries->text[ja]", "text->scene", "text[ja]->scene", "timeseries->scene",
        "text+timeseries->image",
    }  # fmt: skip


def test_the_fields_of_the_contract_are_there_and_json_holds_them(measured):
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    assert set(measured["splits"]) == {"train", "val", "test"}
    entry = measured["directions"]["text->image"]
    assert {
        "gallery",
        "R@1",
        "R@5",
        "R@10",
        "median_rank",
        "MRR",
        "mAP",
        "interval_95",
        "chance",
        "baselines",
    } <= set(entry)
    # 48 unseen scenes of two moments: a caption a scene asks among 96 pictures
    assert (entry["gallery"], entry["queries"], entry["scenes"], entry["logs"]) == (96, 48, 48, 12)
    assert entry["chance"]["R@10"] == pytest.approx(1 - (86 * 85) / (96 * 95), abs=1e-4)
    low, high = entry["interval_95"]["R@10"]
    assert low <= entry["R@10"] <= high
    assert entry["verdict"] == "too few to tell"


def test_good_heads_are_seen_to_be_good_and_the_baselines_to_be_what_they_are(measured):
    entry = measured["directions"]["text->image"]
    assert entry["R@10"] > 0.95
    found = entry["baselines"]
    assert {"chance", "ridge", "cca", "shuffled", "same location", "same log", "same hour"} <= set(found)
    assert "raw" not in found
    assert found["ridge"]["R@10"] > 0.8
    assert found["cca"]["R@10"] > 0.8
    assert found["shuffled"]["R@10"] < 0.45
    # four scenes of a log in the gallery: better than chance, and nothing that looks at the picture
    assert found["same log"]["mAP"] > 2 * found["chance"]["mAP"]
    # half of the gallery ties: no more than twice chance
    assert found["same location"]["R@10"] < 2.2 * found["chance"]["R@10"]


def test_statistics_are_a_baseline_of_signals_only(measured):
    assert measured["directions"]["timeseries->text"]["baselines"]["statistics"]["R@10"] > 0.8
    assert measured["directions"]["image->timeseries"]["baselines"]["statistics"]["R@10"] > 0.8
    assert "statistics" not in measured["directions"]["image->text"]["baselines"]


def test_like_to_like_is_beside_the_raw_features(measured):
    for name in ("image->image", "timeseries->timeseries"):
        entry = measured["directions"][name]
        assert entry["baselines"]["raw"]["R@10"] > 0.8
        assert entry["queries"] == entry["gallery"] == 96


def test_labels_ask_for_other_scenes_of_the_same_kind(measured):
    found = measured["labels"]["timeseries->text"]
    # the log in other words and a number a scene are no labels
    assert set(found) == {"manoeuvre"}
    one = found["manoeuvre"]
    assert one["classes"] == 4
    assert one["n"] == 96
    assert one["mAP"] > one["chance"] + 0.1
    low, high = one["interval_95"]
    assert low < one["mAP"] < high


def test_raw_is_there_where_image_and_text_share_a_space(world, thirds):
    features, _ = world(space="clip")
    measured = evaluate(features, lambda _, vectors: vectors, thirds())
    entry = measured["directions"]["text->image"]
    # untouched vectors are the raw encoder: the figures are the same, not merely close
    assert entry["baselines"]["raw"] == {name: entry[name] for name in entry["baselines"]["raw"]}
    assert entry["R@10"] > 0.8


def test_shuffled_pairs_stay_within_chances_interval(world, oracle, thirds):
    features, mix = world()
    order = np.random.default_rng(0).permutation(240)
    image = features.sets[Modality.IMAGE]
    broken = {**features.sets, Modality.IMAGE: replace(image, row_index=image.row_index[order])}
    measured = evaluate(MomentFeatures(features.items, broken), oracle(mix), thirds(), baselines=False)
    entry = measured["directions"]["text->image"]
    low, high = entry["interval_95"]["R@10"]
    assert low <= entry["chance"]["R@10"] <= high
    assert set(entry["baselines"]) == {"chance"}


def test_the_order_of_items_changes_no_figure(world, oracle, thirds):
    features, mix = world(scenes=60, japanese=False)
    order = np.random.default_rng(1).permutation(120)
    items = tuple(features.items[i] for i in order)
    sets = {}
    for modality, one in features.sets.items():
        rows = one.primary_rows(120)[order]
        sets[modality] = replace(one, item_index=np.arange(120), row_index=rows)
    splits = thirds(60)
    there = evaluate(features, oracle(mix), splits, baselines=False)
    back = evaluate(MomentFeatures(items, sets), oracle(mix), splits, baselines=False)
    for name, entry in there["directions"].items():
        for metric in ("R@1", "R@10", "median_rank", "MRR", "mAP", "chance"):
            assert entry[metric] == pytest.approx(back["directions"][name][metric], abs=2e-4), (name, metric)


def test_scenes_with_the_same_caption_are_relevant_to_each_other(world, oracle, thirds):
    features, mix = world(scenes=30, moments=1, japanese=False)
    twin = tuple(
        replace(item, text=(f"A car  waits{'.' if i % 2 else ''}",) if i % 3 else item.text)
        for i, item in enumerate(features.items)
    )
    measured = evaluate(
        MomentFeatures(twin, features.sets), oracle(mix), Splits((), (), features.scenes()), baselines=True
    )
    entry = measured["directions"]["image->text"]
    assert entry["chance"]["R@1"] > 0.3
    # nothing to fit on: only what needs no fit is there
    assert not {"ridge", "cca", "shuffled"} & set(entry["baselines"])


def test_missing_modalities_are_left_out(world, oracle, thirds):
    features, mix = world(japanese=False)
    series = features.sets[Modality.TIMESERIES]
    half = FeatureSet(
        series.vectors, series.ids, series.item_index[:200], series.row_index[:200], series.card, "f"
    )
    sets = {Modality.IMAGE: features.sets[Modality.IMAGE], Modality.TIMESERIES: half}
    measured = evaluate(MomentFeatures(features.items, sets), oracle(mix), thirds(), scope="all")
    assert "text->image" not in measured["directions"]
    assert measured["directions"]["timeseries->image"]["queries"] == 200
    assert measured["directions"]["timeseries->image"]["gallery"] == 240


def test_nothing_held_out_measures_nothing(world, oracle):
    features, mix = world(scenes=2, logs=2)
    measured = evaluate(features, oracle(mix), Splits(features.scenes(), (), (), "too few"))
    assert measured["directions"] == {}
    assert measured["labels"] == {}
    assert measured["verdict"] == "too few to tell"


def test_the_same_seed_gives_the_same_figures(world, oracle, thirds):
    features, mix = world(scenes=40)
    first, second = (evaluate(features, oracle(mix), thirds(40), seed=3) for _ in range(2))
    assert first == second


def test_queries_for_their_own_kind_are_asked_as_the_search_asks_them(world, oracle, thirds):
    features, mix = world()
    plain = evaluate(features, oracle(mix), thirds(), baselines=False)
    turned = evaluate(
        features, oracle(mix), thirds(), baselines=False, as_query=lambda _, projected: -np.asarray(projected)
    )
    own = [name for name in plain["directions"] if name.split("->")[0] == name.split("->")[1]]
    assert own
    for name, entry in plain["directions"].items():
        assert (turned["directions"][name]["mAP"] < entry["mAP"]) == (name in own), name
    for name, of_key in plain["labels"].items():
        a, b = name.split("->")
        for key, entry in of_key.items():
            assert (turned["labels"][name][key]["mAP"] != entry["mAP"]) == (a == b), (name, key)
