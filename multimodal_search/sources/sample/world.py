"""The sample driving world: which scenes there are, and what happens in each. No picture, no signal yet.

A scene is a pure function of ``(seed, index)``, so the first scenes of a larger world are the scenes of a
smaller one, and any of them can be made alone, in any process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

VERSION = 1  # raised whenever a scene, its picture, its signal or its texts change

DURATION_SECONDS = 20.0
SCENES_PER_LOG = 5

WEATHERS = ("clear", "cloudy", "rain", "fog", "snow")
TIMES_OF_DAY = ("day", "dusk", "night")
PLACES = (
    "intersection",
    "highway",
    "residential_street",
    "city_street",
    "parking_lot",
    "construction_zone",
    "tunnel",
    "bridge",
)
MANOEUVRES = (
    "straight",
    "turn_left",
    "turn_right",
    "stop",
    "hard_braking",
    "lane_change_left",
    "lane_change_right",
    "u_turn",
    "overtake",
    "congestion",
)
ROAD_USERS = ("pedestrians", "cyclist", "motorcycle", "bus", "truck", "van", "taxi", "parked_cars")

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "weather": WEATHERS,
    "time_of_day": TIMES_OF_DAY,
    "place": PLACES,
    "manoeuvre": MANOEUVRES,
    "road_user": ROAD_USERS,
}
"""Attribute name -> its values. Every one of them can be seen in a picture and said in a text."""

_JUNCTIONS = ("intersection", "residential_street", "parking_lot", "construction_zone")
_WIDE_ROADS = ("intersection", "highway", "city_street", "construction_zone", "tunnel", "bridge")
PLACES_OF: Mapping[str, tuple[str, ...]] = {
    "straight": PLACES,
    "turn_left": _JUNCTIONS,
    "turn_right": _JUNCTIONS,
    "stop": tuple(place for place in PLACES if place != "highway"),
    "hard_braking": PLACES,
    "lane_change_left": _WIDE_ROADS,
    "lane_change_right": _WIDE_ROADS,
    "u_turn": ("intersection", "residential_street", "city_street", "parking_lot", "construction_zone"),
    "overtake": ("highway", "city_street", "residential_street", "tunnel", "bridge"),
    "congestion": tuple(place for place in PLACES if place not in ("parking_lot", "residential_street")),
}
"""Manoeuvre -> the places where it happens: nobody makes a U-turn on a highway."""

STOP_SIGN_PLACES = ("residential_street", "parking_lot")
"""Where a car stops for a sign; elsewhere for a red light."""

_ABSENT_AT: Mapping[str, frozenset[str]] = {
    "highway": frozenset({"pedestrians", "cyclist", "parked_cars"}),
    "tunnel": frozenset({"pedestrians", "parked_cars"}),
    "bridge": frozenset({"parked_cars"}),
    "parking_lot": frozenset({"parked_cars", "bus"}),  # its parked cars are the place itself
}
_LOCATIONS: Mapping[str, tuple[float, bool, bool]] = {  # hours from UTC, traffic keeps left, it snows
    "boston-seaport": (-5.0, False, True),
    "singapore-onenorth": (8.0, True, False),
    "singapore-queenstown": (8.0, True, False),
    "singapore-hollandvillage": (8.0, True, False),
    "tokyo-odaiba": (9.0, True, True),
    "tokyo-shinjuku": (9.0, True, True),
    "munich-schwabing": (1.0, False, True),
}
LOCATIONS = tuple(_LOCATIONS)
_WEATHER_SHARES = (0.24, 0.20, 0.22, 0.16, 0.18)
_TIME_SHARES = (0.42, 0.24, 0.34)
_HOURS = {"day": (8.5, 16.0), "dusk": (17.2, 18.6), "night": (20.0, 23.2)}


@dataclass(frozen=True, slots=True)
class SampleScene:
    """Twenty seconds of driving.

    Attributes:
        scene_id: ``sample-00042``: the index, whatever the seed.
        index: position in the world of this seed.
        seed: of the world.
        log: the drive it belongs to (city, date, number); the world has five scenes a drive.
        location: the city, named as nuScenes does.
        road_users: one to three of ``ROAD_USERS``, in their order.
        start_us: microseconds since the epoch at which the signal starts.
        event_seconds: when the manoeuvre begins, from the start of the scene.
        intensity: 0..1, how briskly it is driven.
        keeps_left: traffic keeps left, as in Singapore and Japan.
    """

    scene_id: str
    index: int
    seed: int
    log: str
    location: str
    weather: str
    time_of_day: str
    place: str
    manoeuvre: str
    road_users: tuple[str, ...]
    start_us: int
    event_seconds: float
    intensity: float
    keeps_left: bool

    def rng(self, purpose: int) -> np.random.Generator:
        """A generator for one purpose (signals, picture, texts), the same in every process."""
        return np.random.default_rng([self.seed, self.index, purpose])

    def metadata(self) -> dict[str, str]:
        """What a person would filter by."""
        return {
            "weather": self.weather,
            "time_of_day": self.time_of_day,
            "place": self.place,
            "manoeuvre": self.manoeuvre,
            "road_users": ",".join(self.road_users),
            "log": self.log,
        }


@dataclass(frozen=True, slots=True)
class _Log:
    name: str
    location: str
    weather: str
    time_of_day: str
    midnight: datetime


def make_scenes(n: int, seed: int) -> list[SampleScene]:
    """The first ``n`` scenes of the world with this seed; scene ``i`` depends on ``(seed, i)`` only.

    Each ten consecutive scenes hold every manoeuvre once, in random order. Weather and time of day stay the
    same for most scenes of a drive, not for all.

    Raises:
        ValueError: ``n`` or ``seed`` is negative.
    """
    if n < 0 or seed < 0:
        raise ValueError(f"n and seed must not be negative, not {n} and {seed}")
    return [make_scene(index, seed) for index in range(n)]


def make_scene(index: int, seed: int) -> SampleScene:
    """One scene of the world with this seed."""
    log = _make_log(index // SCENES_PER_LOG, seed)
    rng = np.random.default_rng([seed, index, 1])
    weather = log.weather if rng.random() < 0.7 else _pick_weather(rng, log.location)
    time_of_day = log.time_of_day if rng.random() < 0.7 else _pick(rng, TIMES_OF_DAY, _TIME_SHARES)
    ten = len(MANOEUVRES)
    order = np.random.default_rng([seed, index // ten, 2]).permutation(ten)
    manoeuvre = MANOEUVRES[int(order[index % ten])]
    place = str(rng.choice(PLACES_OF[manoeuvre]))
    earliest, latest = _HOURS[time_of_day]
    hours = earliest + (latest - earliest) * (index % SCENES_PER_LOG + rng.random()) / SCENES_PER_LOG
    start = log.midnight + timedelta(hours=hours - _LOCATIONS[log.location][0])
    return SampleScene(
        scene_id=f"sample-{index:05d}",
        index=index,
        seed=seed,
        log=log.name,
        location=log.location,
        weather=weather,
        time_of_day=time_of_day,
        place=place,
        manoeuvre=manoeuvre,
        road_users=_pick_users(rng, place),
        start_us=int(start.timestamp()) * 1_000_000 + int(rng.integers(1_000_000)),
        event_seconds=float(rng.uniform(5.5, 9.0)),
        intensity=float(rng.random()),
        keeps_left=_LOCATIONS[log.location][1],
    )


def _make_log(number: int, seed: int) -> _Log:
    rng = np.random.default_rng([seed, number, 3])
    weather = _pick(rng, WEATHERS, _WEATHER_SHARES)
    cities = [city for city in LOCATIONS if weather != "snow" or _LOCATIONS[city][2]]
    location = str(rng.choice(cities))
    month = int(rng.choice([12, 1, 2])) if weather == "snow" else int(rng.integers(1, 13))
    midnight = datetime(2024, month, int(rng.integers(1, 29)), tzinfo=UTC)
    return _Log(
        name=f"{location}-{midnight:%Y-%m-%d}-{number:04d}",
        location=location,
        weather=weather,
        time_of_day=_pick(rng, TIMES_OF_DAY, _TIME_SHARES),
        midnight=midnight,
    )


def _pick_weather(rng: np.random.Generator, location: str) -> str:
    weather = _pick(rng, WEATHERS, _WEATHER_SHARES)
    return weather if weather != "snow" or _LOCATIONS[location][2] else "rain"


def _pick_users(rng: np.random.Generator, place: str) -> tuple[str, ...]:
    possible = [user for user in ROAD_USERS if user not in _ABSENT_AT.get(place, frozenset())]
    count = int(rng.choice([1, 2, 3], p=[0.2, 0.45, 0.35]))
    chosen = set(rng.choice(possible, size=count, replace=False).tolist())
    return tuple(user for user in ROAD_USERS if user in chosen)


def _pick(rng: np.random.Generator, values: tuple[str, ...], shares: tuple[float, ...]) -> str:
    return str(rng.choice(values, p=shares))
