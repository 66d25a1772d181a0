"""Where the other road users are: where the front camera sees them when the manoeuvre shows best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from multimodal_search.sources.sample.layout import JUNCTION_WIDTH_M, TURNS, Layout, is_open, make_layout
from multimodal_search.sources.sample.signals import make_drive
from multimodal_search.sources.sample.world import SampleScene

SIZES_M = {  # length, width, height
    "car": (4.4, 1.82, 1.46),
    "taxi": (4.6, 1.84, 1.52),
    "van": (5.3, 2.0, 2.3),
    "bus": (11.0, 2.55, 3.2),
    "truck": (8.0, 2.5, 3.5),
    "motorcycle": (2.1, 0.8, 1.75),
    "cyclist": (1.8, 0.6, 1.8),
    "pedestrian": (0.6, 0.6, 1.75),
}
_MOTOR = ("van", "taxi", "truck", "bus", "motorcycle")  # who gets the best place first
_SMALL = ("motorcycle", "cyclist", "pedestrian")
_SEEN_RAD = math.radians(31)  # a little inside the front camera's field of view


@dataclass(frozen=True, slots=True)
class Placed:
    """A road user at a moment: place in the road frame, yaw (0 = our direction), and how it looks."""

    kind: str
    x: float
    s: float
    yaw: float = 0.0
    tint: float = 0.0  # 0..1, picks its colour
    braking: bool = False
    walk: float = 0.0  # metres walked
    parked: bool = False  # nobody in it, lamps off


def named_users(layout: Layout) -> list[Placed]:
    """Those whom the scene names, parked cars aside, in the same order at every moment."""
    walkers = 0
    named = []
    for kind, choice in _choices(layout.scene):
        if kind == "pedestrian":
            named.append(_walkers(layout, walkers)[choice])
            walkers += 1
        else:
            named.append(_candidates(layout, kind)[choice])
    return named


def place_users(layout: Layout) -> list[Placed]:
    """Everyone around the car at this moment."""
    scene = layout.scene
    placed = named_users(layout)
    if scene.manoeuvre == "congestion":
        placed += _queue(layout, [one for one in placed if one.kind != "pedestrian"])
    if "parked_cars" in scene.road_users:
        placed += _parked(layout)
    return placed + _background(layout)


@lru_cache(maxsize=64)
def _choices(scene: SampleScene) -> tuple[tuple[str, int], ...]:
    """(kind, candidate) for each road user, chosen at the telling moment so that all are seen."""
    layout = make_layout(scene, make_drive(scene).moment_seconds)
    kinds = [kind for kind in _MOTOR if kind in scene.road_users]
    if scene.manoeuvre in ("hard_braking", "overtake", "congestion") and not set(kinds) - {"motorcycle"}:
        kinds.insert(0, "car")  # somebody has to be in the way
    if "cyclist" in scene.road_users:
        kinds.append("cyclist")
    chosen: list[tuple[str, int]] = []
    placed: list[Placed] = []
    for rank, kind in enumerate(kinds):
        options = _candidates(layout, kind)
        forced = rank == 0 and scene.manoeuvre in ("hard_braking", "overtake", "congestion")
        best = 0 if forced else _best(layout, placed, options)
        chosen.append((kind, best))
        placed.append(options[best])
    if scene.manoeuvre == "congestion":
        placed += _queue(layout, placed)
    if "pedestrians" in scene.road_users:
        for number in range(3 + int(layout.dice(1100) * 3)):
            options = _walkers(layout, number)
            best = _best(layout, placed, options)
            chosen.append(("pedestrian", best))
            placed.append(options[best])
    return tuple(chosen)


def _best(layout: Layout, placed: Sequence[Placed], options: Sequence[Placed]) -> int:
    """The option in which the worst seen of all is seen best; earlier ones are preferred a little."""

    def score(index: int) -> float:
        everyone = [*placed, options[index]]
        shares = [_seen_share(layout, one, everyone) for one in everyone]
        room = 0.0 if any(_touch(one, options[index]) for one in placed) else 10.0
        far = max(options[index].s - 12.0, 0.0) if options[index].kind in _SMALL else 0.0
        return (
            room + _on_road(layout, options[index]) + 2 * min(shares) + shares[-1] - 0.03 * index - 0.08 * far
        )

    return max(range(len(options)), key=score)


def _on_road(layout: Layout, one: Placed) -> float:
    """10 for a place on the road or in the mouth of a side road, 0 for one among walls and parked cars."""
    within = abs(one.x) < layout.road.kerb_m - layout.road.parking_m - 0.2
    return 10.0 if within or is_open(layout, one.s, one.s, 1 if one.x > 0 else -1) else 0.0


def _touch(one: Placed, other: Placed) -> bool:
    """Whether two boxes are in each other's way, with a little room between them."""
    half = [abs(math.cos(each.yaw)) for each in (one, other)]
    sizes = [SIZES_M[each.kind] for each in (one, other)]
    across = sum(w * c + n * (1 - c) for (n, w, _), c in zip(sizes, half, strict=True)) / 2
    along = sum(n * c + w * (1 - c) for (n, w, _), c in zip(sizes, half, strict=True)) / 2
    return abs(one.x - other.x) < across + 0.2 and abs(one.s - other.s) < along + 0.8


def _seen_share(layout: Layout, one: Placed, everyone: Sequence[Placed]) -> float:
    """How much of a road user the front camera sees, 0..1, by angles of its box's corners."""
    left, right, near = _angles(layout, one)
    if near < 2.0 or right <= left:
        return 0.0
    share = max(0.0, min(right, _SEEN_RAD) - max(left, -_SEEN_RAD)) / (right - left)
    top = (SIZES_M[one.kind][2] - 1.6) / near
    for other in everyone:
        if other is one:
            continue
        other_left, other_right, other_near = _angles(layout, other)
        if other_near < near:
            hidden = max(0.0, min(right, other_right) - max(left, other_left)) / (right - left)
            above = top > (SIZES_M[other.kind][2] - 1.6) / other_near + 0.04
            share -= hidden * (0.4 if above else 1.0)
    return max(share, 0.0)


def _angles(layout: Layout, one: Placed) -> tuple[float, float, float]:
    """(leftmost, rightmost, nearest distance) of a box as the front camera sees it."""
    length, width, _ = SIZES_M[one.kind]
    cos, sin = math.cos(one.yaw), math.sin(one.yaw)
    turn_cos, turn_sin = math.cos(layout.pose.yaw), math.sin(layout.pose.yaw)
    angles, near = [], math.inf
    for u, v in ((-width, -length), (width, -length), (width, length), (-width, length)):
        x = one.x + (u * cos - v * sin) / 2 - layout.pose.x
        s = one.s + (u * sin + v * cos) / 2
        x -= 0.5 * layout.pose.bend * s * s
        right, depth = x * turn_cos + s * turn_sin, s * turn_cos - x * turn_sin
        angles.append(math.atan2(right, depth))
        near = min(near, math.hypot(right, depth))
    return min(angles), max(angles), near


def _candidates(layout: Layout, kind: str) -> list[Placed]:
    """Where a vehicle may be: in front of us (always the first), in the next lanes, oncoming, crossing."""
    scene, road, dice, lane = layout.scene, layout.road, layout.dice, layout.ego_lane_x
    salt = list(SIZES_M).index(kind)
    tint = dice(1101, salt)
    if kind == "cyclist":
        return _cyclist_places(layout, tint)
    seconds = layout.seconds
    sway = 1.2 * math.sin(0.5 * seconds)
    rear = SIZES_M[kind][0] / 2 - 2.2  # longer ones stand further off: distances are to a car's middle
    closer = -3.5 if kind == "motorcycle" else 0.0
    lead = [_leader(layout, kind, rear, tint, sway)]
    others: list[Placed] = []
    for index in range(road.own):
        x = road.lane(index)
        if abs(x - lane) > 1.0:
            others.append(Placed(kind, x, dice.between(10, 15, 1102, salt) + rear + closer - sway, 0.0, tint))
            others.append(Placed(kind, x, 20.0 + rear + closer - sway, 0.0, tint))
    for index in range(road.own):
        for base in (dice.between(9, 14, 1103, salt), 19.0, 27.0):
            # they drive past, and the next one comes; a car that waits for us to turn stays
            passing = 0.0 if scene.manoeuvre in (*TURNS, "stop") else 11.0 * seconds
            s = 5.0 + (base + closer + rear - 5.0 - passing) % 48.0
            others.append(Placed(kind, road.oncoming_lane(index), s, math.pi, tint))
    at = (layout.junction_s if layout.junction_s is not None else 14.0 - layout.moved) + JUNCTION_WIDTH_M / 2
    if scene.place not in ("highway", "tunnel", "bridge"):
        for offset in (-9.0, -4.0, 1.0, 6.0, 11.0):
            yaw = math.pi / 2 * road.side
            others.append(Placed(kind, lane + offset + 0.5 * seconds, max(at, 9.0), yaw, tint))
    if kind == "motorcycle":  # it also fits between the lanes
        at = dice.between(8.0, 11.0, 1125) + sway
        others += [Placed(kind, lane + offset, at, 0.0, tint) for offset in (-2.3, 2.3, -4.2, 4.2)]
    return lead + others


def _leader(layout: Layout, kind: str, rear: float, tint: float, sway: float) -> Placed:
    """The vehicle in front: what hard braking, overtaking and a jam are about."""
    dice, seconds, lane = layout.dice, layout.seconds, layout.ego_lane_x
    gap, braking = dice.between(13.0, 18.0, 1104) + sway, False
    if layout.scene.manoeuvre == "hard_braking":
        gap, braking = dice.between(7.2, 8.8, 1104) + min(abs(seconds), 12.0), abs(seconds) < 4.0
    elif layout.scene.manoeuvre == "overtake":
        gap = dice.between(7.0, 9.5, 1104) - max(-16.0, min(60.0, 3.0 * seconds))
    elif layout.scene.manoeuvre == "congestion":
        gap, braking = dice.between(8.5, 10.5, 1104) + 0.5 * sway, dice(1105) < 0.6
    if kind == "motorcycle":
        gap = max(6.5, gap - 4.0)
    return Placed(kind, lane, gap + rear, 0.0, tint, braking)


def _cyclist_places(layout: Layout, tint: float) -> list[Placed]:
    road, dice = layout.road, layout.dice
    ahead = dice.between(8.5, 11.5, 1106) + 0.6 * math.sin(0.5 * layout.seconds)
    lean = dice.between(0.3, 0.55, 1107) * (1 if dice(1108) < 0.5 else -1)
    edge = road.kerb_m - road.parking_m - 0.9
    across = layout.ego_lane_x + 1.5 * math.sin(0.3 * layout.seconds)
    places = [
        Placed("cyclist", road.side * edge, ahead, lean, tint),
        Placed("cyclist", -road.side * edge, ahead + 3.0, math.pi + lean, tint),
        Placed("cyclist", -road.side * (road.median_m / 2 + 2.0), ahead, math.pi + lean, tint),
    ]
    for offset in (-4.5, -2.5, 2.5, 4.5, 0.0, -7.0, 7.0):
        places += [
            Placed("cyclist", across + offset, near, math.pi / 2 - lean, tint) for near in (ahead, 6.5)
        ]
    return places


def _walkers(layout: Layout, number: int) -> list[Placed]:
    """Where one pedestrian may be on the zebra."""
    dice, seconds, near = layout.dice, layout.seconds, layout.crosswalk_s or 12.0
    way = 1 if dice(1109, number) < 0.5 else -1
    walked = way * dice.between(0.9, 1.5, 1110, number) * seconds
    half = layout.road.kerb_m - layout.road.parking_m
    low, high = max(layout.ego_lane_x - 8.0, -half), min(layout.ego_lane_x + 8.0, half)
    options = []
    for option in range(7):
        x = low + (dice.between(0.0, high - low, 1111, number, option) + walked) % (high - low)
        s = near + dice.between(0.4, 2.6, 1112, number)
        options.append(Placed("pedestrian", x, s, -math.pi / 2 * way, dice(1113, number), walk=x))
    return options


def _queue(layout: Layout, placed: Sequence[Placed]) -> list[Placed]:
    """Cars in every lane of our direction, close behind each other."""
    dice, sway = layout.dice, 0.6 * math.sin(0.5 * layout.seconds)
    cars = []
    for lane in range(layout.road.own):
        start, x = dice.between(6.5, 10.0, 1114, lane), layout.road.lane(lane)
        for row in range(5):
            s = start + row * 7.2 + sway
            room = [abs(s - one.s) - SIZES_M[one.kind][0] / 2 for one in placed if abs(x - one.x) < 2.0]
            if min(room, default=9.0) < 4.2 or _would_hide(layout, placed, x, s):
                continue
            brakes = dice(1115, lane, row) < 0.6
            cars.append(Placed("car", x, s, 0.0, dice(1116, lane, row), brakes))
    return cars


def _would_hide(layout: Layout, placed: Sequence[Placed], x: float, s: float) -> bool:
    """Whether a car there would stand before somebody small whom the description names."""
    car = Placed("car", x, s)
    small = [one for one in placed if one.kind in ("cyclist", "motorcycle", "taxi", "van")]
    return any(_seen_share(layout, one, [one, car]) < 0.85 * _seen_share(layout, one, [one]) for one in small)


def _parked(layout: Layout) -> list[Placed]:
    """Cars along both kerbs, and along the far side of a crossing road."""
    cars = []
    x = layout.road.kerb_m - 1.2
    passed = math.floor(layout.travelled / 5.8)
    for number in range(passed - 3, passed + 8):
        s = number * 5.8 - layout.travelled
        for way in (-1, 1):
            key = number * 2 + (way > 0)
            if layout.dice(1117, key) < 0.88 and not is_open(layout, s - 2.5, s + 2.5, way):
                yaw = 0.0 if way == layout.road.side else math.pi
                cars.append(Placed("car", way * x, s, yaw, layout.dice(1118, key), parked=True))
    if layout.junction_s is not None:
        s = layout.junction_s + JUNCTION_WIDTH_M - 1.2
        for way in (-1, 1):
            if is_open(layout, s, s, way):
                for number in range(4):
                    at = way * (layout.road.kerb_m + 3.0 + 5.4 * number)
                    tint = layout.dice(1119, number, way)
                    cars.append(Placed("car", at, s, math.pi / 2, tint, parked=True))
    return cars


def _background(layout: Layout) -> list[Placed]:
    """A car behind us, and often one far ahead in the other direction."""
    dice, road = layout.dice, layout.road
    if layout.scene.place == "parking_lot":
        return []
    cars = [Placed("car", layout.ego_lane_x, -11.0 - 8.0 * dice(1120), 0.0, dice(1121))]
    if dice(1122) < 0.5:
        cars.append(Placed("car", road.oncoming_lane(0), 40.0 + 20 * dice(1123), math.pi, dice(1124)))
    return [replace(car, s=car.s + math.sin(0.4 * layout.seconds)) for car in cars]
