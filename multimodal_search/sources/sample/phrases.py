"""The words of the sample world: how each attribute value is said, in English and in Japanese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Language = Literal["en", "ja"]
LANGUAGES: tuple[Language, ...] = ("en", "ja")

PHRASES: Mapping[str, Mapping[str, Mapping[Language, tuple[str, ...]]]] = {
    "weather": {
        "clear": {
            "en": ("clear sky", "sunny weather", "fine weather", "clear weather"),
            "ja": ("晴れ", "晴天", "快晴", "晴れた天気"),
        },
        "cloudy": {
            "en": ("cloudy", "overcast", "grey sky", "cloudy sky"),
            "ja": ("曇り", "曇天", "曇り空", "どんよりした空"),
        },
        "rain": {
            "en": ("rain", "rainy", "wet road", "raining"),
            "ja": ("雨", "雨天", "雨降り", "濡れた路面"),
        },
        "fog": {
            "en": ("fog", "foggy", "poor visibility in fog", "misty"),
            "ja": ("霧", "濃霧", "霧で視界不良", "霧が出ている"),
        },
        "snow": {
            "en": ("snow", "snowy", "snow-covered road", "snowing"),
            "ja": ("雪", "降雪", "雪道", "積雪した路面"),
        },
    },
    "time_of_day": {
        "day": {"en": ("day", "daytime", "daylight"), "ja": ("昼", "日中", "昼間")},
        "dusk": {"en": ("dusk", "twilight", "evening light"), "ja": ("夕暮れ", "夕方", "薄暮")},
        "night": {
            "en": ("night", "at night", "dark with street lights"),
            "ja": ("夜", "夜間", "街灯のともる夜"),
        },
    },
    "place": {
        "intersection": {
            "en": ("intersection", "big crossing with traffic lights", "signalised intersection", "junction"),
            "ja": ("交差点", "信号のある交差点", "大きな交差点", "十字路"),
        },
        "highway": {
            "en": ("highway", "motorway", "expressway", "freeway"),
            "ja": ("高速道路", "ハイウェイ", "高速", "自動車専用道路"),
        },
        "residential_street": {
            "en": ("residential street", "residential area", "quiet neighbourhood", "houses along the road"),
            "ja": ("住宅街", "住宅地の道路", "閑静な住宅街", "家が並ぶ通り"),
        },
        "city_street": {
            "en": ("city street", "downtown street", "city centre", "tall buildings"),
            "ja": ("市街地", "都心の通り", "ビル街", "高層ビルの並ぶ通り"),
        },
        "parking_lot": {
            "en": ("parking lot", "car park", "parking area"),
            "ja": ("駐車場", "駐車場の通路", "パーキング"),
        },
        "construction_zone": {
            "en": ("construction zone", "roadworks", "construction site with cones", "road construction"),
            "ja": ("工事現場", "道路工事", "工事区間", "コーンの並ぶ工事中の道路"),
        },
        "tunnel": {
            "en": ("tunnel entrance", "tunnel", "entering a tunnel", "tunnel ahead"),
            "ja": ("トンネル", "トンネルの入口", "トンネル手前", "前方にトンネル"),
        },
        "bridge": {
            "en": ("bridge", "crossing a bridge", "bridge over water", "long bridge"),
            "ja": ("橋", "橋の上", "水上の橋", "長い橋"),
        },
    },
    "manoeuvre": {
        "straight": {
            "en": ("go straight", "drive straight on", "keep going straight", "straight ahead"),
            "ja": ("直進", "まっすぐ走行", "そのまま直進", "道なりに直進"),
        },
        "turn_left": {
            "en": ("turn left", "left turn", "turning left"),
            "ja": ("左折", "左に曲がる", "左折中"),
        },
        "turn_right": {
            "en": ("turn right", "right turn", "turning right"),
            "ja": ("右折", "右に曲がる", "右折中"),
        },
        "stop": {
            "en": ("stop at red light", "come to a stop", "stop and wait", "waiting at the stop line"),
            "ja": ("停止", "赤信号で停止", "停止線で停車", "止まって待つ"),
        },
        "hard_braking": {
            "en": ("hard braking", "emergency braking", "brake hard for the car ahead", "sudden braking"),
            "ja": ("急ブレーキ", "急制動", "急減速", "前の車に対して急ブレーキ"),
        },
        "lane_change_left": {
            "en": ("lane change to the left", "change to the left lane", "move over to the left lane"),
            "ja": ("左へ車線変更", "左車線に移る", "左レーンへ車線変更"),
        },
        "lane_change_right": {
            "en": ("lane change to the right", "change to the right lane", "move over to the right lane"),
            "ja": ("右へ車線変更", "右車線に移る", "右レーンへ車線変更"),
        },
        "u_turn": {
            "en": ("U-turn", "make a U-turn", "turn around"),
            "ja": ("Uターン", "転回", "Uターン中", "向きを変えて引き返す"),
        },
        "overtake": {
            "en": ("overtake", "overtaking a slower vehicle", "pass a slow vehicle", "overtaking"),
            "ja": ("追い越し", "前の車を追い越す", "遅い車を追い越し", "追い越し中"),
        },
        "congestion": {
            "en": ("congestion", "traffic jam", "stop and go traffic", "slow dense traffic"),
            "ja": ("渋滞", "渋滞でのろのろ運転", "交通渋滞", "混雑してノロノロ走行"),
        },
    },
    "road_user": {
        "pedestrians": {
            "en": (
                "peds on crosswalk",
                "pedestrians crossing",
                "people crossing the street",
                "peds crossing",
            ),
            "ja": ("横断歩道に歩行者", "歩行者が横断中", "道を渡る人々", "歩行者が横断歩道を渡る"),
        },
        "cyclist": {
            "en": ("cyclist", "person on a bicycle", "bicycle rider", "bike ahead"),
            "ja": ("自転車", "自転車に乗った人", "走行中の自転車", "サイクリスト"),
        },
        "motorcycle": {
            "en": ("motorcycle", "motorbike", "motorcyclist", "person on a motorbike"),
            "ja": ("バイク", "オートバイ", "二輪車", "バイクに乗った人"),
        },
        "bus": {
            "en": ("bus", "city bus", "public bus", "large bus"),
            "ja": ("バス", "路線バス", "大型バス"),
        },
        "truck": {
            "en": ("truck", "lorry", "large truck", "box truck"),
            "ja": ("トラック", "大型トラック", "貨物トラック"),
        },
        "van": {
            "en": ("van", "white van", "delivery van", "van on the road"),
            "ja": ("バン", "白いバン", "配送バン", "ワンボックス車"),
        },
        "taxi": {
            "en": ("taxi", "cab", "yellow taxi", "taxi on the road"),
            "ja": ("タクシー", "黄色いタクシー", "タクシー車両"),
        },
        "parked_cars": {
            "en": ("parked cars", "cars parked at the kerb", "row of parked cars", "parked vehicles"),
            "ja": ("駐車車両", "路肩に駐車車両", "路上駐車の車", "並んだ駐車車両"),
        },
    },
}
"""attribute -> value -> language -> ways to say it in a comma-separated list, the commonest first."""


def phrases(attribute: str, value: str, language: Language) -> tuple[str, ...]:
    """Short queries that mean this value of this attribute, the commonest first.

    Args:
        attribute: a key of ``world.ATTRIBUTES``.
        value: one of its values.
        language: ``en`` or ``ja``.

    Raises:
        KeyError: there is no such attribute or value.
    """
    return PHRASES[attribute][value][language]
