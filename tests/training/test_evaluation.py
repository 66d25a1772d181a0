"""Which scenes of other data count as unseen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from multimodal_search.errors import BundleError
from multimodal_search.training.evaluation import splits_beside
from multimodal_search.types import Item, MomentFeatures


def features(*scenes: str) -> MomentFeatures:
    return MomentFeatures(tuple(Item(id=scene, scene_id=scene) for scene in scenes), {})


def test_scenes_that_the_heads_have_not_seen_are_unseen(tmp_path: Path) -> None:
    known = {"splits": {"train": ["a", "b"], "val": ["c"], "test": ["d"]}, "splits_kind": "by log"}
    (tmp_path / "metrics.json").write_text(json.dumps(known))
    splits = splits_beside(features("b", "d", "new"), tmp_path)
    assert splits.test == ("d", "new")
    assert set(splits.train) == {"a", "b"}  # also those that this data lacks
    assert splits.val == ("c",)
    assert splits.kind == "by log"


@pytest.mark.parametrize("text", [None, "{", "{}", '{"splits": 3}'])
def test_a_bundle_that_does_not_say_what_it_saw_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(BundleError, match=r"metrics\.json"):
        splits_beside(features("a"), tmp_path)
