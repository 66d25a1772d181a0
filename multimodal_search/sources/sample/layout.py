"""Where the car is at a moment and what the road around it is like, in metres."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from multimodal_search.sources.sample.manoeuvres import FINE_HZ, LANE_WIDTH_M
from multimodal_search.sources.sample.signals import Drive, make_drive
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
TURNS = ("turn_left", "turn_right", "u_turn")
JUNCTION_WIDTH_M = 11.0
_JUNCTION_PERIOD_M = 80.0
_CROSSWALK_PERIOD_M = 60.0
_STOP_PERIOD_M = 90.0


@dataclass(frozen=True, slots=True)
class Dice:
    """A scene's own random numbers in 0..1: the same for a key at every moment."""

    numbers: tuple[float, ...]

    def __call__(self, *key: int) -> float:
        mixed = 0
        for part in key:
            mixed = (mixed * 7919 + part * 104729 + 12289) % 1_000_003
        return self.numbers[mixed % len(self.numbers)]

    def between(self, low: float, high: float, *key: int) -> float:
        """A number between two others."""
        return low + (high - low) * self(*key)


@dataclass(frozen=True, slots=True)
class Road:
    """Lanes of a place. ``side`` is +1 where traffic keeps right, -1 where it keeps left.

    Attributes:
        own: lanes of our direction; as many come towards us.
        kerb_m: from the road's middle to either kerb.
        parking_m: width of the strip for parked cars inside the kerb.
    """

    side: int
    own: int
    median_m: float
    kerb_m: float
    parking_m: float

    def lane(self, index: int) -> float:
        """x of the middle of our lane ``index``, 0 next to the road's middle."""
        return self.side * (self.median_m / 2 + (index + 0.5) * LANE_WIDTH_M)

    def oncoming_lane(self, index: int) -> float:
        """x of the middle of an oncoming lane."""
        return -self.lane(index)


@dataclass(frozen=True, slots=True)
class Layout:
    """The car and its road at a moment.

    Attributes:
        index: of the moment in the drive's arrays.
        moved: metres driven since the telling moment; negative before it.
        junction_s, crosswalk_s, stop_line_s: metres ahead to the near edge, None where there is none.
        ego_lane_x: the lane that the drive starts in.
    """

    scene: SampleScene
    drive: Drive
    road: Road
    dice: Dice
    pose: Pose
    index: int
    moved: float
    junction_s: float | None
    crosswalk_s: float | None
    stop_line_s: float | None
    ego_lane_x: float

    @property
    def travelled(self) -> float:
        """Metres driven since the start of the scene."""
        return float(self.drive.travelled[self.index])

    @property
    def seconds(self) -> float:
        """From the telling moment; negative before it."""
        return self.index / FINE_HZ - self.drive.moment_seconds


def make_layout(scene: SampleScene, time_seconds: float) -> Layout:
    """The layout at a moment of the scene (0..20 s, held at the ends)."""
    drive, dice, road = make_drive(scene), make_dice(scene), make_road(scene)
    last = drive.times.size - 1
    index = min(max(round(time_seconds * FINE_HZ), 0), last)
    telling = min(round(drive.moment_seconds * FINE_HZ), last)
    lane = _ego_lane(scene, road)
    moved = float(drive.travelled[index] - drive.travelled[telling])
    junction = _junction(scene, dice, moved)
    crosswalk, stop_line = _crossing_lines(scene, dice, moved, junction)
    return Layout(
        scene=scene,
        drive=drive,
        road=road,
        dice=dice,
        pose=_pose(scene, drive, dice, index, lane),
        index=index,
        moved=moved,
        junction_s=junction,
        crosswalk_s=crosswalk,
        stop_line_s=stop_line,
        ego_lane_x=lane,
    )


@lru_cache(maxsize=64)
def make_dice(scene: SampleScene) -> Dice:
    """The scene's random numbers for everything that is drawn."""
    return Dice(tuple(scene.rng(_PURPOSE).random(499).tolist()))


def camera_mount(scene: SampleScene) -> tuple[float, float]:
    """Height in metres and pitch in radians (up) of the cameras on a scene's car."""
    dice = make_dice(scene)
    return dice.between(1.5, 1.75, 1002), dice.between(-0.032, 0.008, 1003)


def make_road(scene: SampleScene) -> Road:
    """The lanes of a scene's place."""
    own = _OWN_LANES[scene.place]
    median = {"highway": 3.0, "tunnel": 1.2}.get(scene.place, 0.0)
    if scene.manoeuvre == "u_turn" and scene.place != "parking_lot":
        median = 1.6
    parking = 2.3 if "parked_cars" in scene.road_users else 0.0
    shoulder = {"highway": 2.0, "parking_lot": 0.0}.get(scene.place, 0.5)
    side = -1 if scene.keeps_left else 1
    return Road(side, own, median, median / 2 + own * LANE_WIDTH_M + shoulder + parking, parking)


def is_open(layout: Layout, s0: float, s1: float, way: int) -> bool:
    """Whether a crossing or a side road takes this stretch on this side (-1 left, +1 right)."""
    if layout.junction_s is None:
        return False
    side = {"turn_left": -1, "turn_right": 1}.get(layout.scene.manoeuvre, 0)
    if layout.scene.place != "intersection" and side != way:
        return False
    return s1 > layout.junction_s - 2 and s0 < layout.junction_s + JUNCTION_WIDTH_M + 2


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


def _pose(scene: SampleScene, drive: Drive, dice: Dice, index: int, lane: float) -> Pose:
    """The car against the road; once it has turned more than half, the road is the one it turns into."""
    heading = float(drive.heading[index]) - drive.road_curvature * float(drive.travelled[index])
    lateral = float(drive.lateral[index])
    if scene.manoeuvre in TURNS:
        lateral = max(-2.5, min(lateral, 2.5))
        if abs(heading) > abs(drive.target_heading) / 2:
            heading, lateral = heading - drive.target_heading, 0.0
    height, pitch = camera_mount(scene)
    dive = 0.006 * float(drive.acceleration[index])  # the nose goes down under braking
    return Pose(
        x=lane - lateral + dice.between(-0.2, 0.2, 1001),
        yaw=heading,
        height=height,
        pitch=pitch + dive,
        bend=drive.road_curvature,
    )


def _wrapped(distance: float, period: float) -> float:
    """The next of a row of places that come by every ``period`` metres; 15 m behind at most."""
    return (distance + 15.0) % period - 15.0


def _junction(scene: SampleScene, dice: Dice, moved: float) -> float | None:
    if scene.place != "intersection" and scene.manoeuvre not in ("turn_left", "turn_right"):
        return None
    if scene.manoeuvre in TURNS:
        at = dice.between(16.5, 19.5, 1004)
    elif scene.manoeuvre == "stop":
        at = dice.between(12.5, 14.5, 1004)
    else:
        at = dice.between(17.0, 23.0, 1004)
    return _wrapped(at - moved, _JUNCTION_PERIOD_M)


def _crossing_lines(
    scene: SampleScene, dice: Dice, moved: float, junction: float | None
) -> tuple[float | None, float | None]:
    """Where the zebra and the stop line are."""
    crosswalk: float | None = None
    if junction is not None and (scene.place == "intersection" or "pedestrians" in scene.road_users):
        crosswalk = junction - 3.6
    elif "pedestrians" in scene.road_users:
        crosswalk = _wrapped(dice.between(10.0, 14.0, 1005) - moved, _CROSSWALK_PERIOD_M)
    if scene.manoeuvre != "stop" and scene.place != "intersection":
        return crosswalk, None
    if crosswalk is not None:
        return crosswalk, crosswalk - 1.6
    if junction is not None:
        return None, junction - 1.8
    return None, _wrapped(dice.between(6.8, 8.3, 1006) - moved, _STOP_PERIOD_M)
