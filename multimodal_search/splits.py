"""Which scenes train, which choose, which measure: by scene, never cutting a log where that is possible."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from multimodal_search.types import Item


@dataclass(frozen=True, slots=True)
class Splits:
    """Disjoint scene ids. ``kind`` says how they were made, for the report."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    kind: str = "by log"

    def to_json(self) -> dict[str, object]:
        """A JSON-ready mapping."""
        return asdict(self)


def make_splits(
    items: Sequence[Item],
    *,
    official: Mapping[str, str] | None = None,
    val_share: float = 0.15,
    test_share: float = 0.15,
    seed: int = 0,
) -> Splits:
    """Split the items' scenes.

    With an official split its ``val`` (or ``test``) scenes become ``test``, touched once, and the inner
    ``val`` that chooses checkpoints comes out of its ``train``. Otherwise (or where these scenes are all on
    one side of the official split) logs (``Item.group``) are dealt out
    whole, in an order fixed by the seed; the inner ``val`` alone may cut a log, where every log is more than
    twice as large as it should be. Under three scenes all train and nothing is measured.

    Args:
        official: scene id -> ``train`` / ``val`` / ``test``.
        val_share: share of scenes that choose the checkpoint.
        test_share: share of scenes held out for the report.
    """
    groups: dict[str, str] = {}
    for item in items:
        groups.setdefault(item.scene_id, item.group or item.scene_id)
    scenes = list(groups)
    if official and len({official.get(scene, "train") == "train" for scene in scenes}) == 2:
        test = [scene for scene in scenes if official.get(scene, "train") != "train"]
        rest = [scene for scene in scenes if official.get(scene, "train") == "train"]
        val, train = _deal(rest, groups, val_share, seed, may_cut=True)
        return Splits(tuple(train), tuple(val), tuple(test), "official")
    if len(scenes) < 3:
        return Splits(tuple(scenes), (), (), "too few scenes to hold any out")
    test, rest = _deal(scenes, groups, test_share, seed)
    val, train = _deal(rest, groups, val_share / (1 - test_share), seed + 1, may_cut=True)
    kind = "by log" if len(set(groups.values())) < len(scenes) else "by scene"
    return Splits(tuple(train), tuple(val), tuple(test), kind)


def _deal(
    scenes: Sequence[str], groups: Mapping[str, str], share: float, seed: int, *, may_cut: bool = False
) -> tuple[list[str], list[str]]:
    """Whole groups, in hashed order, where each brings the count nearer to ``share``; the rest stays.

    At least one scene on each side where there are two. Where no group is small enough to help, the smallest
    is taken, or with ``may_cut`` the scenes are dealt one by one; so is a single group, since nothing else
    can be held out.
    """
    if len(scenes) < 2:
        return [], list(scenes)
    sizes = Counter(groups[scene] for scene in scenes)
    wanted = max(1, round(share * len(scenes)))
    if len(sizes) == 1 or (may_cut and min(sizes.values()) > 2 * wanted):
        groups = {scene: scene for scene in scenes}
        sizes = Counter(scenes)
    order = sorted(sizes, key=lambda name: _hashed(name, seed))
    chosen: set[str] = set()
    count = 0
    for name in order:
        if abs(count + sizes[name] - wanted) < abs(count - wanted) and count + sizes[name] < len(scenes):
            chosen.add(name)
            count += sizes[name]
    if not chosen:
        chosen.add(min(order, key=lambda name: sizes[name]))
    out = [scene for scene in scenes if groups[scene] in chosen]
    return out, [scene for scene in scenes if groups[scene] not in chosen]


def _hashed(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()
