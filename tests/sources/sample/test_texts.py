"""Texts: the first in English and the second in Japanese say everything; all of them name the manoeuvre."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search.sources.sample import texts, world

KANA = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")

# what a reader would look for, written down apart from the phrases themselves
ENGLISH = {
    "clear": "clear|sunny|fine",
    "cloudy": "cloud|overcast|grey",
    "rain": "rain|wet",
    "fog": "fog|mist",
    "snow": "snow",
    "day": r"\bday|daylight",
    "dusk": "dusk|twilight|evening",
    "night": "night|dark",
    "intersection": "intersection|junction|crossing with",
    "highway": "highway|motorway|expressway|freeway",
    "residential_street": "residential|neighbourhood|houses",
    "city_street": "city street|city centre|downtown|tall buildings",
    "parking_lot": "parking lot|car park|parking area",
    "construction_zone": "construction|roadworks",
    "tunnel": "tunnel",
    "bridge": "bridge",
    "straight": "straight",
    "turn_left": r"turn(s|ing)? left|left turn",
    "turn_right": r"turn(s|ing)? right|right turn",
    "stop": r"stop|wait",
    "hard_braking": r"brak|emergency stop",
    "lane_change_left": r"(lane.* to the left|left lane)",
    "lane_change_right": r"(lane.* to the right|right lane)",
    "u_turn": "u-turn|turns? around",
    "overtake": r"overtak|pass(es)? a slow",
    "congestion": "congestion|jam|stop and go|dense traffic",
    "pedestrians": "ped|people",
    "cyclist": "cyclist|bicycle|bike",
    "motorcycle": "motorcycl|motorbike",
    "bus": r"\bbus\b",
    "truck": "truck|lorry",
    "van": r"\bvan\b",
    "taxi": "taxi|cab",
    "parked_cars": "parked",
}
JAPANESE = {
    "clear": "晴",
    "cloudy": "曇|どんより",
    "rain": "雨|濡れ",
    "fog": "霧",
    "snow": "雪",
    "day": "昼|日中",
    "dusk": "夕|薄暮",
    "night": "夜",
    "intersection": "交差点|十字路",
    "highway": "高速|ハイウェイ|自動車専用",
    "residential_street": "住宅|家が並ぶ",
    "city_street": "市街|都心|ビル",
    "parking_lot": "駐車場|パーキング",
    "construction_zone": "工事",
    "tunnel": "トンネル",
    "bridge": "橋",
    "straight": "直進|まっすぐ",
    "turn_left": "左折|左に曲が",
    "turn_right": "右折|右に曲が",
    "stop": "停止|停車|止まって",
    "hard_braking": "急ブレーキ|急制動|急減速",
    "lane_change_left": "左(へ|車線|レーン)",
    "lane_change_right": "右(へ|車線|レーン)",
    "u_turn": "Uターン|転回|引き返す",
    "overtake": "追い越",
    "congestion": "渋滞|混雑",
    "pedestrians": "歩行者|渡る人",
    "cyclist": "自転車|サイクリスト",
    "motorcycle": "バイク|オートバイ|二輪",
    "bus": "バス",
    "truck": "トラック",
    "van": "バン|ワンボックス",
    "taxi": "タクシー",
    "parked_cars": "駐車車両|路上駐車",
}


def values(scene: world.SampleScene) -> list[str]:
    return [scene.weather, scene.time_of_day, scene.place, scene.manoeuvre, *scene.road_users]


@settings(max_examples=150)
@given(index=st.integers(0, 3000), seed=st.integers(0, 50), wording=st.integers(0, 20))
def test_any_scene_is_described_in_full_in_both_languages(index: int, seed: int, wording: int) -> None:
    scene = world.make_scene(index, seed)
    said = texts.descriptions(scene, wording)
    assert 4 <= len(said) <= 6
    assert len(set(said)) == len(said)
    assert not KANA.search(said[0])
    assert KANA.search(said[1])
    for value in values(scene):
        assert re.search(ENGLISH[value], said[0], re.IGNORECASE), (value, said[0])
        assert re.search(JAPANESE[value], said[1]), (value, said[1])
    for text in said:
        marks = JAPANESE if KANA.search(text) else ENGLISH
        assert re.search(marks[scene.manoeuvre], text, re.IGNORECASE), (scene.manoeuvre, text)
        assert text == text.strip()
        assert "{" not in text


def test_words_vary_between_scenes_and_between_wordings() -> None:
    scenes = world.make_scenes(300, 0)
    assert len({texts.descriptions(scene)[0] for scene in scenes}) >= 297
    assert texts.descriptions(scenes[0], 1) != texts.descriptions(scenes[0], 2)
    assert texts.descriptions(scenes[0], 1) == texts.descriptions(world.make_scene(0, 0), 1)


@pytest.mark.parametrize("attribute", list(world.ATTRIBUTES))
def test_every_value_has_short_phrases_that_mean_nothing_else(attribute: str) -> None:
    seen: dict[str, str] = {}
    for value in world.ATTRIBUTES[attribute]:
        for language in texts.LANGUAGES:
            said = texts.phrases(attribute, value, language)
            assert len(said) >= 3
            for phrase in said:
                assert bool(KANA.search(phrase)) == (language == "ja")
                assert "," not in phrase
                assert "、" not in phrase
                assert seen.setdefault(phrase, value) == value


def test_an_unknown_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        texts.phrases("weather", "hail", "en")


def test_nobody_waits_at_a_red_light_where_there_is_a_stop_sign() -> None:
    stops = [scene for scene in world.make_scenes(600, 0) if scene.manoeuvre == "stop"]
    said = {scene: " ".join(texts.descriptions(scene)) for scene in stops}
    lights = [scene for scene in stops if "red light" in said[scene] or "赤信号" in said[scene]]
    assert lights
    assert not {scene.place for scene in lights} & set(world.STOP_SIGN_PLACES)
