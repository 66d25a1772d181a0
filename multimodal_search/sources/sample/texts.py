"""What people would write about a scene, in nuScenes' manner: short phrases, commas, no fixed order.

``descriptions`` gives an English and a Japanese one that say everything, then freer ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multimodal_search.sources.sample.phrases import LANGUAGES, Language, phrases
from multimodal_search.sources.sample.world import STOP_SIGN_PLACES, SampleScene

__all__ = ["LANGUAGES", "Language", "descriptions", "phrases"]

_PURPOSE = 30
_AND = {"en": " and ", "ja": "と"}
_MOOD_EN = {
    "clear": "clear {time}",
    "cloudy": "cloudy {time}",
    "rain": "rainy {time}",
    "fog": "foggy {time}",
    "snow": "snowy {time}",
}
_TIME_NOUN = {"day": ("day", "昼"), "dusk": ("evening", "夕方"), "night": ("night", "夜")}
_WEATHER_NOUN_JA = {"clear": "晴れ", "cloudy": "曇り", "rain": "雨", "fog": "霧", "snow": "雪"}
_AT_EN = {
    "intersection": ("at an intersection", "at the junction", "at the intersection"),
    "highway": ("on the highway", "on a motorway", "on the expressway"),
    "residential_street": ("in a residential street", "in a residential area", "in a quiet neighbourhood"),
    "city_street": ("in the city centre", "on a downtown street", "between tall buildings"),
    "parking_lot": ("in a parking lot", "in a car park", "in the parking area"),
    "construction_zone": ("in a construction zone", "at roadworks", "beside a construction site"),
    "tunnel": ("at a tunnel entrance", "before a tunnel", "at the tunnel"),
    "bridge": ("on a bridge", "on the bridge over water", "on a long bridge"),
}
_PLACE_NOUN_JA = {
    "intersection": "交差点",
    "highway": "高速道路",
    "residential_street": "住宅街",
    "city_street": "市街地",
    "parking_lot": "駐車場",
    "construction_zone": "工事区間",
    "tunnel": "トンネルの入口",
    "bridge": "橋の上",
}
_EGO_EN = {
    "straight": ("drives straight on", "keeps going straight", "goes straight"),
    "turn_left": ("turns left", "makes a left turn", "is turning left"),
    "turn_right": ("turns right", "makes a right turn", "is turning right"),
    "stop": ("stops at the red light", "comes to a stop and waits", "stops and waits at the stop line"),
    "hard_braking": ("brakes hard", "has to brake hard for the car ahead", "makes an emergency stop"),
    "lane_change_left": ("changes to the left lane", "makes a lane change to the left"),
    "lane_change_right": ("changes to the right lane", "makes a lane change to the right"),
    "u_turn": ("makes a U-turn", "turns around with a U-turn"),
    "overtake": ("overtakes a slower vehicle", "passes a slow vehicle"),
    "congestion": (
        "crawls in a traffic jam",
        "is stuck in slow, dense traffic",
        "moves in stop and go traffic",
    ),
}
_EGO_JA = {
    "straight": ("まっすぐ進む", "直進している"),
    "turn_left": ("左折する", "左に曲がっている"),
    "turn_right": ("右折する", "右に曲がっている"),
    "stop": ("停止線で止まって待つ", "赤信号で停止する"),
    "hard_braking": ("急ブレーキをかける", "前の車に対して急制動をかける"),
    "lane_change_left": ("左へ車線変更する", "左車線に移る"),
    "lane_change_right": ("右へ車線変更する", "右車線に移る"),
    "u_turn": ("Uターンする", "転回して引き返す"),
    "overtake": ("遅い車を追い越す", "前の車を追い越している"),
    "congestion": ("渋滞の中をのろのろ進む", "渋滞にはまっている"),
}
_USER_EN = {
    "pedestrians": "pedestrians crossing",
    "cyclist": "a cyclist",
    "motorcycle": "a motorcycle",
    "bus": "a bus",
    "truck": "a truck",
    "van": "a van",
    "taxi": "a taxi",
    "parked_cars": "parked cars",
}
_USER_JA = {
    "pedestrians": "横断中の歩行者",
    "cyclist": "自転車",
    "motorcycle": "バイク",
    "bus": "バス",
    "truck": "トラック",
    "van": "バン",
    "taxi": "タクシー",
    "parked_cars": "駐車車両",
}
_ON_EN = {
    "day": ("in daylight", "by day"),
    "dusk": ("at dusk", "in the evening"),
    "night": ("at night", "in the dark"),
}
_IN_EN = {
    "clear": ("in clear weather", "under a clear sky"),
    "cloudy": ("under a cloudy sky", "in overcast weather"),
    "rain": ("in the rain", "in rainy weather"),
    "fog": ("in fog", "in foggy weather"),
    "snow": ("in the snow", "on a snow-covered road"),
}


def descriptions(scene: SampleScene, seed: int = 0) -> tuple[str, ...]:
    """Four to six different texts about a scene.

    The first is English and complete, the second Japanese and complete: weather, time of day, place,
    manoeuvre and every road user. The others are lists or sentences in either language; some say only a
    part. The manoeuvre is in all of them.

    Args:
        seed: another seed gives other words for the same scene.
    """
    rng = np.random.default_rng([scene.seed, scene.index, _PURPOSE, seed])
    texts = [_complete(scene, rng, "en"), _complete(scene, rng, "ja")]
    makers = (_sentence_en, _sentence_ja, _part_en, _part_ja, _complete_en, _complete_ja)
    chosen = rng.permutation(len(makers))[: int(rng.integers(2, 5))]
    texts += [makers[int(index)](scene, rng) for index in chosen]
    return tuple(dict.fromkeys(texts))


def _complete_en(scene: SampleScene, rng: np.random.Generator) -> str:
    return _complete(scene, rng, "en")


def _complete_ja(scene: SampleScene, rng: np.random.Generator) -> str:
    return _complete(scene, rng, "ja")


def _part_en(scene: SampleScene, rng: np.random.Generator) -> str:
    return _part(scene, rng, "en")


def _part_ja(scene: SampleScene, rng: np.random.Generator) -> str:
    return _part(scene, rng, "ja")


def _complete(scene: SampleScene, rng: np.random.Generator, language: Language) -> str:
    """``Rainy night, turn left at intersection, peds on crosswalk, bus``."""
    mood = _mood(scene, rng, language)
    action = _action(scene, rng, language)
    users = [_say(rng, "road_user", user, language) for user in scene.road_users]
    rest = _shuffled(rng, [*action, *users])
    return _joined([*mood, *rest] if rng.random() < 0.75 else [*rest, *mood], language)


def _part(scene: SampleScene, rng: np.random.Generator, language: Language) -> str:
    """The manoeuvre and one to three other things."""
    others = [
        _say(rng, "weather", scene.weather, language),
        _say(rng, "time_of_day", scene.time_of_day, language),
        _say(rng, "place", scene.place, language),
        *(_say(rng, "road_user", user, language) for user in scene.road_users),
    ]
    kept = _shuffled(rng, others)[: int(rng.integers(1, 4))]
    manoeuvre = _manoeuvre(scene, rng, language)
    return _joined(_shuffled(rng, [manoeuvre, *kept]), language)


def _mood(scene: SampleScene, rng: np.random.Generator, language: Language) -> list[str]:
    """Weather and time of day, as one phrase or two."""
    english, japanese = _TIME_NOUN[scene.time_of_day]
    if rng.random() < 0.5:
        if language == "en":
            return [_MOOD_EN[scene.weather].format(time=english)]
        return [f"{_WEATHER_NOUN_JA[scene.weather]}の{japanese}"]
    weather = _say(rng, "weather", scene.weather, language)
    time_of_day = _say(rng, "time_of_day", scene.time_of_day, language)
    return _shuffled(rng, [weather, time_of_day])


def _action(scene: SampleScene, rng: np.random.Generator, language: Language) -> list[str]:
    """Manoeuvre and place, as one phrase or two."""
    manoeuvre = _manoeuvre(scene, rng, language)
    if rng.random() < 0.45:
        if language == "en":
            return [f"{manoeuvre} {_one(rng, _AT_EN[scene.place])}"]
        does = _one(rng, _fitting(scene, _EGO_JA[scene.manoeuvre]))
        return [f"{_PLACE_NOUN_JA[scene.place]}{_particle(scene)}{does}"]
    return [manoeuvre, _say(rng, "place", scene.place, language)]


def _particle(scene: SampleScene) -> str:
    """``交差点を左折する`` and ``橋の上をまっすぐ進む``, but ``住宅街で停止する``."""
    along = scene.manoeuvre == "straight" and scene.place not in ("tunnel", "construction_zone")
    through = scene.manoeuvre in ("turn_left", "turn_right") and scene.place == "intersection"
    return "を" if along or through else "で"


def _sentence_en(scene: SampleScene, rng: np.random.Generator) -> str:
    where = _one(rng, _AT_EN[scene.place])
    does = _one(rng, _fitting(scene, _EGO_EN[scene.manoeuvre]))
    weather, hour = _one(rng, _IN_EN[scene.weather]), _one(rng, _ON_EN[scene.time_of_day])
    users = _listed_en([_USER_EN[user] for user in scene.road_users])
    frames = (
        f"The car {does} {where} {weather} {hour}; there {_is(scene)} {users}.",
        f"{_upper(hour)}, {weather}, the ego vehicle {does} {where}, with {users} in view.",
        f"{_upper(weather)} {hour} we see {users} while the car {does} {where}.",
    )
    return frames[int(rng.integers(len(frames)))]


def _sentence_ja(scene: SampleScene, rng: np.random.Generator) -> str:
    mood = f"{_WEATHER_NOUN_JA[scene.weather]}の{_TIME_NOUN[scene.time_of_day][1]}"
    place = f"{_PLACE_NOUN_JA[scene.place]}{_particle(scene)}"
    does = _one(rng, _fitting(scene, _EGO_JA[scene.manoeuvre]))
    users = "と".join(_USER_JA[user] for user in scene.road_users)
    alive = set(scene.road_users) <= {"pedestrians", "cyclist", "motorcycle"}
    there = "がいる" if alive else "が見える"
    frames = (
        f"{mood}、{place}{does}。{users}{there}。",
        f"{mood}に自車が{place}{does}場面で、{users}が見える。",
        f"{users}が見える{mood}、自車が{place}{does}。",
    )
    return frames[int(rng.integers(len(frames)))]


def _is(scene: SampleScene) -> str:
    return "are" if scene.road_users[0] in ("pedestrians", "parked_cars") else "is"


def _listed_en(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    return ", ".join(names[:-1]) + " and " + names[-1]


def _manoeuvre(scene: SampleScene, rng: np.random.Generator, language: Language) -> str:
    return _one(rng, _fitting(scene, phrases("manoeuvre", scene.manoeuvre, language)))


def _fitting(scene: SampleScene, choices: Sequence[str]) -> Sequence[str]:
    """The ways to say it that are true here: a stop sign has no red light."""
    if scene.manoeuvre == "stop" and scene.place in STOP_SIGN_PLACES:
        return [one for one in choices if "red light" not in one and "赤信号" not in one]
    return choices


def _say(rng: np.random.Generator, attribute: str, value: str, language: Language) -> str:
    return _one(rng, phrases(attribute, value, language))


def _one(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _shuffled(rng: np.random.Generator, parts: list[str]) -> list[str]:
    return [parts[int(index)] for index in rng.permutation(len(parts))]


def _joined(parts: Sequence[str], language: Language) -> str:
    return "、".join(parts) if language == "ja" else _upper(", ".join(parts))


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
