"""Where things are at a moment: lanes, the junction, and the other road users, in metres from the ego car."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from multimodal_search.sources.sample.signals import LANE_WIDTH_M, Drive, make_drive
from multimodal_search.sources.sample.view import Pose
from multimodal_search.sources.sample.world import SampleScene

_PURPOSE = 20
_OWN_LANES = {
    "intersection": 2,
    "highway": 3,
    "residential_street": 1,
    "city_street": 2,
    "parking_lot": 1,
    "construction_zone": 2,
    "tunnel": 2,
    "bridge": 2,
}
_TURNS = ("turn_left", "turn_right", "u_turn")
_MOTOR = ("van", "taxi", "motorcycle", "truck", "bus")  # who would rather drive in front of us, first
JUNCTION_PERIOD_M = 75.0


@dataclass(frozen=True, slots=True)
class Road:
    """Lanes of a place. ``side`` is +1 where traffic keeps right, -1 where it keeps left."""

    side: int
    own: int
    oncoming: int
    median_m: float
    kerb_m: float  # from the road's middle to the kerb on our side
    far_kerb_m: float  # to the kerb beyond the oncoming lanes
    parking_m: float  # a strip for parked cars inside the kerb

    def lane(self, index: int) -> float:
        """x of the middle of our lane ``index``, 0 next to the road's middle."""
        return self.side * (self.median_m / 2 + (index + 0.5) * LANE_WIDTH_M)

    def oncoming_lane(self, index: int) -> float:
        """x of the middle of an oncoming lane."""
        return -self.side * (self.median_m / 2 + (index + 0.5) * LANE_WIDTH_M)


@dataclass(frozen=True, slots=True)
class Placed:
    """A road user at a moment: place in the road frame, yaw (0 = our direction), and how it looks."""

    kind: str
    x: float
    s: float
    yaw: float = 0.0
    tint: float = 0.0  # 0..1, picks its colour
    braking: bool = False
    walk: float = 0.0  # phase of a step


@dataclass(frozen=True, slots=True)
class Layout:
    """All that is drawn of a moment, apart from the scenery."""

    scene: SampleScene
    drive: Drive
    road: Road
    pose: Pose
    travelled: float
    junction_s: float | None  # near edge of the crossing road
    crosswalk_s: float | None
    stop_line_s: float | None
    ego_lane_x: float
    users: tuple[Placed, ...]
    noise: tuple[float, ...]  # the scene's own random numbers in 0..1

    def random(self, *key: int) -> float:
        """A number in 0..1 for this key, the same at every moment of the scene."""
        mixed = 0
        for part in key:
            mixed = (mixed * 7919 + part * 104729 + 12289) % 1_000_003
        return self.noise[mixed % len(self.noise)]


def make_road(scene: SampleScene) -> Road:
    """The lanes of a scene's place."""
    own = _OWN_LANES[scene.place]
    median = {"highway": 3.0, "tunnel": 1.2}.get(scene.place, 0.0)
    if scene.manoeuvre == "u_turn" and scene.place != "parking_lot":
        median = 1.6
    parking = 2.3 if "parked_cars" in scene.road_users else 0.0
    shoulder = {"highway": 2.0, "parking_lot": 0.0}.get(scene.place, 0.5)
    half = median / 2 + own * LANE_WIDTH_M + shoulder + parking
    side = -1 if scene.keeps_left else 1
    return Road(side, own, own, median, half, half, parking)


def make_layout(scene: SampleScene, time_seconds: float) -> Layout:
    """Everything at a moment of the scene (0..20 s)."""
    drive = make_drive(scene)
    rng = scene.rng(_PURPOSE)
    noise = tuple(rng.random(499).tolist())
    index = min(max(round(time_seconds * 50), 0), drive.times.size - 1)
    telling = min(round(drive.moment_seconds * 50), drive.times.size - 1)
    road = make_road(scene)
    lane = _ego_lane(scene, road)
    moved = float(drive.travelled[index] - drive.travelled[telling])
    junction = _junction(scene, rng, moved)
    crosswalk, stop_line = _crossing_lines(scene, rng, moved, junction)
    users = _place_users(scene, rng, road, lane, time_seconds - drive.moment_seconds, crosswalk, junction)
    return Layout(
        scene=scene,
        drive=drive,
        road=road,
        pose=_pose(scene, drive, rng, index, lane),
        travelled=float(drive.travelled[index]),
        junction_s=junction,
        crosswalk_s=crosswalk,
        stop_line_s=stop_line,
        ego_lane_x=lane,
        users=tuple(users),
        noise=noise,
    )


def _ego_lane(scene: SampleScene, road: Road) -> float:
    """x of the lane that the drive starts in: the one the manoeuvre needs."""
    kerb = road.own - 1
    if scene.manoeuvre in ("turn_left", "turn_right"):
        near_side = (scene.manoeuvre == "turn_left") == scene.keeps_left
        return road.lane(kerb if near_side else 0)
    if scene.manoeuvre in ("lane_change_left", "lane_change_right"):
        towards_kerb = (scene.manoeuvre == "lane_change_left") == scene.keeps_left
        return road.lane(max(kerb - 1, 0) if towards_kerb else kerb)
    if scene.manoeuvre == "u_turn":
        return road.lane(0)
    return road.lane(min(kerb, 1))


def _pose(scene: SampleScene, drive: Drive, rng: np.random.Generator, index: int, lane: float) -> Pose:
    """The car against the road; once it has turned more than half, the road is the one it turns into."""
    heading = float(drive.heading[index]) - drive.road_curvature * float(drive.travelled[index])
    lateral = float(drive.lateral[index])
    if scene.manoeuvre in _TURNS:
        lateral = max(-2.5, min(lateral, 2.5))
        if abs(heading) > abs(drive.target_heading) / 2:
            heading, lateral = heading - drive.target_heading, 0.0
    height = float(rng.uniform(1.5, 1.75))
    dive = 0.006 * float(drive.acceleration[index])  # the nose goes down under braking
    pitch = float(rng.uniform(-0.02, 0.02)) - 0.012 + dive
    x = lane - lateral + float(rng.uniform(-0.2, 0.2))
    return Pose(x=x, yaw=heading, height=height, pitch=pitch, bend=drive.road_curvature)


def _wrapped(distance: float, period: float) -> float:
    """The next of a row of places that come by every ``period`` metres; 15 m behind at most."""
    return (distance + 15.0) % period - 15.0


def _junction(scene: SampleScene, rng: np.random.Generator, moved: float) -> float | None:
    base = float(rng.uniform(0, 1))
    if scene.place != "intersection" and scene.manoeuvre not in ("turn_left", "turn_right"):
        return None
    if scene.manoeuvre in _TURNS:
        at = 11.5 + 3.0 * base
    elif scene.manoeuvre == "stop":
        at = 11.0 + 2.0 * base
    else:
        at = 15.0 + 6.0 * base
    return _wrapped(at - moved, JUNCTION_PERIOD_M)


def _crossing_lines(
    scene: SampleScene, rng: np.random.Generator, moved: float, junction: float | None
) -> tuple[float | None, float | None]:
    """Where the zebra and the stop line are."""
    base = float(rng.uniform(0, 1))
    crosswalk: float | None = None
    if junction is not None and scene.place == "intersection":
        crosswalk = junction - 3.6
    elif "pedestrians" in scene.road_users:
        crosswalk = junction - 3.6 if junction is not None else _wrapped(10.0 + 4.0 * base - moved, 60.0)
    if scene.manoeuvre == "stop" or scene.place == "intersection":
        if crosswalk is not None:
            return crosswalk, crosswalk - 1.6
        if junction is not None:
            return None, junction - 1.8
        return None, _wrapped(6.8 + 1.5 * base - moved, 90.0)
    return crosswalk, None


def _place_users(
    scene: SampleScene,
    rng: np.random.Generator,
    road: Road,
    lane: float,
    seconds: float,
    crosswalk: float | None,
    junction: float | None,
) -> list[Placed]:
    sway = 1.2 * math.sin(0.5 * seconds)
    placed: list[Placed] = []
    motor = [kind for kind in _MOTOR if kind in scene.road_users]
    slots = _slots(scene, rng, road, lane, junction, sway, seconds)
    if scene.manoeuvre in ("hard_braking", "overtake", "congestion") and not motor:
        motor = ["car"]
    if scene.manoeuvre == "overtake":
        motor.sort(key=lambda kind: kind == "motorcycle")
    for kind, slot in zip(motor, slots, strict=False):
        placed.append(_tinted(slot, kind, rng))
    if scene.manoeuvre == "congestion":
        placed += _queue(rng, road, sway, taken=[(one.x, one.s) for one in placed])
    if "cyclist" in scene.road_users:
        placed.append(_cyclist(scene, rng, road, sway))
    if "pedestrians" in scene.road_users and crosswalk is not None:
        placed += _pedestrians(rng, lane, crosswalk, seconds)
    placed += _background(scene, rng, road)
    return placed


def _slots(
    scene: SampleScene,
    rng: np.random.Generator,
    road: Road,
    lane: float,
    junction: float | None,
    sway: float,
    seconds: float,
) -> list[Placed]:
    """Places for up to three motor vehicles, the best to be seen first."""
    gap = [float(rng.uniform(0, 1)) for _ in range(4)]
    inner = road.oncoming_lane(0)
    passing = 11.0 * seconds  # an oncoming car goes by and the next one comes
    oncoming = Placed("", inner, 5.0 + (9.0 + 7.0 * gap[1] - 5.0 - passing) % 45.0, math.pi)
    lead = Placed("", lane, 14.0 + 5.0 * gap[0] + sway)
    others = [road.lane(index) for index in range(road.own) if abs(road.lane(index) - lane) > 1.0]
    beside_x = others[int(gap[3] * len(others))] if others else inner
    if others:
        beside = Placed("", beside_x, 11.0 + 6.0 * gap[2] - sway)
    else:
        beside = Placed("", inner, 5.0 + (21.0 + 5.0 * gap[2] - 5.0 - passing) % 45.0, math.pi)
    if scene.manoeuvre in _TURNS or scene.manoeuvre == "stop":
        cross_s = (junction if junction is not None else 16.0) + 5.5
        crossing = Placed("", lane - road.side * 4.0 + 8.0 * gap[0], cross_s, math.pi / 2 * road.side)
        standing = Placed("", inner, (junction or 9.0) + 2.0 + 5.0 * gap[1], math.pi)
        return [standing, beside if others else crossing, crossing if others else lead]
    if scene.manoeuvre == "hard_braking":
        close = Placed("", lane, 7.0 + 1.6 * gap[0] + min(abs(seconds), 12.0), braking=True)
        return [close, oncoming if scene.place != "highway" else beside, beside]
    if scene.manoeuvre == "overtake":
        slow = Placed("", lane, 7.0 + 2.5 * gap[0] - max(-15.0, min(4.0, 3.0 * seconds)))
        return [slow, oncoming if road.own > 1 else Placed("", lane, 26.0), Placed("", lane, 24.0 + sway)]
    if scene.manoeuvre == "congestion":
        near = Placed("", lane, 8.5 + 2.0 * gap[0] + 0.5 * sway, braking=gap[1] < 0.5)
        return [near, beside, Placed("", inner, 12.0 + 6.0 * gap[2], math.pi)]
    if scene.place == "highway":
        return [lead, beside, oncoming]
    return [lead, oncoming, beside]


def _tinted(slot: Placed, kind: str, rng: np.random.Generator) -> Placed:
    longer = {"bus": 3.5, "truck": 2.5}.get(kind, 0.0) if abs(slot.yaw) < 0.1 else 0.0
    return Placed(kind, slot.x, slot.s + longer, slot.yaw, float(rng.random()), slot.braking)


def _queue(
    rng: np.random.Generator, road: Road, sway: float, taken: list[tuple[float, float]]
) -> list[Placed]:
    """Cars in every lane of our direction, close behind each other."""
    cars = []
    for index in range(road.own):
        start = float(rng.uniform(6.5, 10.0))
        for row in range(5):
            x, s = road.lane(index), start + row * 7.2 + 0.5 * sway
            tint, braking = float(rng.random()), bool(rng.random() < 0.6)
            if all(abs(x - other_x) > 1.5 or abs(s - other_s) > 8.5 for other_x, other_s in taken):
                cars.append(Placed("car", x, s, 0.0, tint, braking))
    return cars


def _cyclist(scene: SampleScene, rng: np.random.Generator, road: Road, sway: float) -> Placed:
    ahead = float(rng.uniform(8.5, 11.5)) + 0.5 * sway
    lean = float(rng.uniform(0.3, 0.55)) * (1 if rng.random() < 0.5 else -1)
    edge = road.kerb_m - road.parking_m - 0.9
    if scene.manoeuvre in ("overtake", "congestion", "turn_left", "turn_right", "u_turn"):
        return Placed("cyclist", -road.side * (road.median_m / 2 + 2.0), ahead, math.pi + lean, rng.random())
    return Placed("cyclist", road.side * edge, ahead, lean, float(rng.random()))


def _pedestrians(rng: np.random.Generator, lane: float, crosswalk: float, seconds: float) -> list[Placed]:
    people = []
    for _ in range(int(rng.integers(3, 6))):
        start, pace = float(rng.uniform(-7.0, 7.0)), float(rng.uniform(0.9, 1.5))
        way = 1 if rng.random() < 0.5 else -1
        x = (start + way * pace * seconds + 9.0) % 18.0 - 9.0
        depth = crosswalk + float(rng.uniform(0.4, 2.6))
        yaw, tint = -math.pi / 2 * way, float(rng.random())
        people.append(Placed("pedestrian", lane + x, depth, yaw, tint, walk=start + pace * seconds))
    return people


def _background(scene: SampleScene, rng: np.random.Generator, road: Road) -> list[Placed]:
    """A car behind us, and often one far ahead in the other direction."""
    tints = [float(rng.random()) for _ in range(3)]
    cars = []
    if scene.place != "parking_lot":
        cars.append(Placed("car", road.lane(0), -11.0 - 8.0 * tints[0], 0.0, tints[1]))
        if tints[2] < 0.5:
            cars.append(Placed("car", road.oncoming_lane(0), 38.0 + 20 * tints[0], math.pi, tints[2] * 2))
    return cars
