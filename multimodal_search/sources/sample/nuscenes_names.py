"""Names for scenes in a nuScenes tree: real ones, so that the devkit's official splits apply to them."""

from __future__ import annotations

from multimodal_search.sources.sample.world import SCENES_PER_LOG

MINI = (61, 553, 655, 757, 796, 1077, 1094, 1100, 103, 916)  # mini_train, then the two of mini_val

# Scene numbers of the official split, as first and last of each run. Scenes that the devkit lists as
# without CAN bus messages, and the ten above, are left out.
_TRAIN = (
    (1, 2), (4, 11), (19, 34), (41, 60), (62, 76), (120, 135), (138, 139), (149, 152), (154, 155),
    (157, 160), (177, 185), (187, 188), (190, 196), (199, 200), (202, 204), (206, 214), (218, 220),
    (224, 264), (283, 306), (315, 318), (323, 324), (347, 386), (388, 403), (405, 408), (410, 459),
    (461, 465), (467, 469), (471, 472), (474, 480), (499, 502), (504, 515), (517, 518), (525, 539),
    (541, 546), (570, 578), (582, 600), (639, 654), (656, 679), (683, 689), (695, 698), (700, 701),
    (703, 719), (726, 728), (730, 731), (733, 741), (746, 747), (749, 752), (758, 765), (767, 769),
    (786, 787), (789, 792), (803, 806), (808, 813), (815, 817), (819, 822), (847, 856), (860, 866),
    (868, 873), (875, 878), (882, 903), (952, 953), (955, 961), (975, 984), (988, 992), (994, 1025),
    (1044, 1058), (1074, 1076), (1078, 1093), (1095, 1099), (1101, 1102), (1104, 1110),
)  # fmt: skip
_VAL = (
    (12, 18), (35, 36), (38, 39), (92, 102), (104, 110), (268, 278), (329, 332), (344, 346), (519, 524),
    (552, 552), (554, 565), (629, 630), (632, 638), (770, 771), (777, 778), (780, 784), (794, 795),
    (797, 800), (904, 915), (917, 917), (919, 931), (962, 963), (966, 969), (971, 972), (1059, 1073),
)  # fmt: skip
_VAL_EVERY = 6  # of this many drives, one goes to the official validation split: 17 % of the scenes
_BEYOND = 2001  # names that no official split knows, once the real ones are used up


def scene_names(count: int) -> list[str]:
    """The first ``count`` names. Each further drive's five scenes are all of one split.

    The first ten are those of ``v1.0-mini``; a tree of ten scenes or fewer has the official mini split.
    """
    numbers = list(MINI)
    train, val = _numbers(_TRAIN), _numbers(_VAL)
    drive = len(MINI) // SCENES_PER_LOG
    while len(numbers) < count:
        pool = val if drive % _VAL_EVERY == _VAL_EVERY - 1 else train
        if len(pool) < SCENES_PER_LOG:
            pool = list(range(_BEYOND + len(numbers), _BEYOND + len(numbers) + SCENES_PER_LOG))
        numbers += pool[:SCENES_PER_LOG]
        del pool[:SCENES_PER_LOG]
        drive += 1
    return [f"scene-{number:04d}" for number in numbers[:count]]


def _numbers(runs: tuple[tuple[int, int], ...]) -> list[int]:
    return [number for first, last in runs for number in range(first, last + 1)]
