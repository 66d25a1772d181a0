"""How a picture becomes the model's size: against the libraries, and what is kept of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from multimodal_search import encoders
from multimodal_search.encoders.framing import Framing
from multimodal_search.encoders.open_clip import RESIZES
from multimodal_search.encoders.options import Resize
from multimodal_search.errors import EncoderError, SkipInput

sides = st.integers(8, 90)


def picture(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x * y) % 256], axis=-1).astype(np.uint8)
    pixels[: height // 3, width // 2 :] = (250, 10, 60)
    return pixels


@settings(max_examples=60)
@given(sides, sides, st.sampled_from(sorted(RESIZES)), st.sampled_from(["bicubic", "bilinear"]))
def test_pixels_are_open_clip_s_own(height: int, width: int, mode: str, interpolation: str) -> None:
    config = PreprocessCfg(
        size=32, resize_mode=mode, interpolation=interpolation, mean=(0, 0, 0), std=(1, 1, 1)
    )
    given_picture = Image.fromarray(picture(height, width))
    wanted = image_transform_v2(config, is_train=False)(given_picture).mul(255).round()
    framing = Framing((32, 32), RESIZES[mode], bilinear=interpolation == "bilinear")
    found = framing.of_image(given_picture)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, wanted.permute(1, 2, 0).numpy())


@settings(max_examples=60)
@given(sides, sides, st.sampled_from(["crop", "pad", "squash"]), st.booleans(), st.booleans())
def test_the_quick_way_is_nearly_the_same(
    height: int, width: int, resize: Resize, square: bool, bilinear: bool
) -> None:
    framing = Framing((32, 32) if square else (24, 40), resize, bilinear=bilinear)
    pixels = picture(height, width)
    exact, quick = framing.of_image(Image.fromarray(pixels)), framing.of_array(pixels)
    assert exact.shape == quick.shape == (*framing.size_px, 3)
    difference = np.abs(exact.astype(int) - quick)
    assert difference.max() <= (1 if bilinear else 24)  # bicubic overshoots at the hardest of edges
    assert difference.mean() < 0.3


def test_what_is_kept_of_a_wide_picture() -> None:
    pixels = np.full((90, 160, 3), 200, dtype=np.uint8)
    pixels[:, :20], pixels[:, -20:] = (255, 0, 0), (0, 0, 255)
    crop, pad, squash = (Framing((90, 90), one).of_array(pixels) for one in ("crop", "pad", "squash"))
    assert (crop == 200).all()  # the coloured ends are cut away
    assert pad[45, 2].tolist() == squash[45, 2].tolist() == [255, 0, 0]
    assert pad[45, -3].tolist() == [0, 0, 255]
    assert (pad[:19] == 0).all()
    assert (pad[-19:] == 0).all()
    assert (pad[21:-21] > 0).any(axis=2).all()


def test_a_picture_that_covers_enough_is_asked_for() -> None:
    assert Framing((224, 224), "crop").enough_px == (269, 269)
    assert Framing((224, 224), "crop", cover_px=(256, 256)).enough_px == (307, 307)
    assert encoders.build("sample/vit", "image").decode_at_least_px == (115, 192)
    assert encoders.build("sample/text", "text").decode_at_least_px is None


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_the_sample_encoder_can_be_told_how(resize: Resize) -> None:
    encoder = encoders.build("sample/vit", "image", resize=resize)
    own = encoders.build("sample/vit", "image")
    assert (encoder.fingerprint == own.fingerprint) == (resize == "squash")
    assert encoders.build_from_card(encoder.card).fingerprint == encoder.fingerprint
    pixels = picture(90, 160)
    framing = Framing((96, 160), resize, bilinear=True)
    np.testing.assert_array_equal(
        encoder.preprocess(Image.fromarray(pixels)), framing.of_image(Image.fromarray(pixels))
    )
    np.testing.assert_array_equal(encoder.preprocess(pixels), framing.of_array(pixels))


def test_pixels_of_another_kind_are_skipped() -> None:
    encoder = encoders.build("sample/vit", "image")
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(SkipInput, match="not RGB pixels"):
            encoder.preprocess(wrong)


def test_an_unknown_way_and_an_unknown_option_are_refused_with_the_nearest() -> None:
    with pytest.raises(EncoderError, match="'squash'"):
        encoders.card("sample/vit", "image", resize="squish")
    with pytest.raises(EncoderError, match="'resize'"):
        encoders.card("sample/vit", "image", resise="pad")
    with pytest.raises(EncoderError, match="160 x 96"):
        encoders.card("sample/vit", "image", image_size=224)
    with pytest.raises(EncoderError, match="resize"):
        encoders.card("open_clip/ViT-B-32", "text", resize="pad")


def test_left_out_is_none() -> None:
    assert encoders.card("sample/vit", "image", resize=None, grid=None, image_size=None) == encoders.card(
        "sample/vit", "image"
    )


def test_torch_is_not_asked_for_more_threads() -> None:
    before = torch.get_num_threads()
    Framing((32, 32), "crop").of_array(picture(64, 80))
    assert torch.get_num_threads() == before
