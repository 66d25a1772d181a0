"""What is in a scene can be seen in its picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from multimodal_search.errors import DataError
from multimodal_search.sources.sample import render as module
from multimodal_search.sources.sample import traffic, world
from multimodal_search.sources.sample.layout import Layout
from multimodal_search.sources.sample.render import render
from multimodal_search.sources.sample.view import CAMERAS

SCENES = world.make_scenes(60, 3)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def changed(one: Image.Image, other: Image.Image, by: int = 18) -> int:
    """How many pixels differ by more than the sensor's noise."""
    return int((np.abs(pixels(one) - pixels(other)).max(axis=2) > by).sum())


def test_a_picture_is_rgb_of_the_size_asked_for_and_always_the_same() -> None:
    image = render(SCENES[0])
    assert (image.mode, image.size) == ("RGB", (480, 270))
    assert render(SCENES[0], size=(160, 96)).size == (160, 96)
    assert changed(image, render(world.make_scene(0, 3)), by=0) == 0


def test_no_two_scenes_look_the_same() -> None:
    small = [pixels(render(scene, size=(96, 54))).ravel() for scene in SCENES]
    for index, one in enumerate(small):
        for other in small[:index]:
            assert np.abs(one - other).mean() > 4


@pytest.mark.parametrize("camera", list(CAMERAS))
def test_each_camera_looks_its_own_way(camera: str) -> None:
    for other in CAMERAS:
        if other != camera:
            assert changed(render(SCENES[1], camera), render(SCENES[1], other)) > 20_000


def test_an_unknown_camera_is_named_with_the_known_ones() -> None:
    with pytest.raises(DataError, match="CAM_FRONT_LEFT"):
        render(SCENES[0], "CAM_TOP")


def test_time_passes() -> None:
    driving = next(scene for scene in SCENES if scene.manoeuvre == "straight")
    assert changed(render(driving, time_seconds=2.0), render(driving, time_seconds=2.5)) > 2_000
    for seconds in (-1.0, 0.0, 19.99, 25.0):
        assert render(driving, time_seconds=seconds).size == (480, 270)


@pytest.mark.parametrize(
    ("attribute", "least"), [("weather", 5_000), ("time_of_day", 40_000), ("place", 7_000)]
)
def test_another_value_of_an_attribute_looks_different(attribute: str, least: int) -> None:
    for scene in SCENES[:6]:
        image = render(scene)
        for value in world.ATTRIBUTES[attribute]:
            if value != getattr(scene, attribute):
                assert changed(image, render(replace(scene, **{attribute: value}))) > least, value


def test_another_manoeuvre_looks_different() -> None:
    scene = replace(SCENES[0], place="intersection", weather="clear", time_of_day="day")
    images = {name: render(replace(scene, manoeuvre=name)) for name in world.MANOEUVRES}
    for name, image in images.items():
        for other, picture in images.items():
            assert name == other or changed(image, picture) > 5_000, (name, other)


def test_every_named_road_user_is_in_the_front_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = ""

    def without(layout: Layout) -> list[traffic.Placed]:
        everyone = traffic.place_users(layout)
        if gone == "parked_cars":
            return [one for one in everyone if not one.parked]
        return [one for one in everyone if one.kind != {"pedestrians": "pedestrian"}.get(gone, gone)]

    monkeypatch.setattr(module, "place_users", without)
    seen = []
    for scene in SCENES:
        gone = ""
        image = render(scene)
        for user in scene.road_users:
            gone = user
            picture = render(scene)
            seen.append(changed(image, picture))
    # a motorcyclist in night fog is small; nobody is missing
    assert min(seen) > 100
    assert np.mean(np.array(seen) > 400) > 0.95


def test_side_and_rear_cameras_show_what_is_there() -> None:
    """The same world from another direction: a car behind us is in the rear picture only."""
    scene = next(one for one in SCENES if one.place == "highway" and one.time_of_day == "day")
    rear, side = render(scene, "CAM_BACK"), render(scene, "CAM_FRONT_LEFT")
    dashboard = pixels(render(scene))[-12:, 220:260].mean()
    assert abs(pixels(rear)[-12:, 220:260].mean() - dashboard) > 15
    assert abs(pixels(side)[-12:, 220:260].mean() - dashboard) > 15
