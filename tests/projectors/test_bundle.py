"""bundle.json and the .pt files: what is written is read again, and what does not fit is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from multimodal_search.errors import BundleError
from multimodal_search.projectors.bundle import (
    BundleEncoder,
    BundleInfo,
    load_projectors,
    read_bundle_info,
    save_projectors,
    write_bundle_info,
)
from multimodal_search.projectors.heads import HeadSpec, Projector
from multimodal_search.types import EncoderCard, Modality


@pytest.fixture
def info() -> BundleInfo:
    cards = {
        Modality.IMAGE: EncoderCard("sample/vit", "shipped", Modality.IMAGE, 6, (64, 96), space="sample"),
        Modality.TIMESERIES: EncoderCard(
            "timeseries/statistics",
            "none",
            Modality.TIMESERIES,
            5,
            normalise=False,
            options={"rate_hz": 10.0},
        ),
    }
    return BundleInfo(
        encoders={modality: BundleEncoder(card, f"print-{modality}") for modality, card in cards.items()},
        heads={Modality.IMAGE: HeadSpec("residual", 6, 6), Modality.TIMESERIES: HeadSpec("linear", 5, 6)},
        logit_scales={"image-timeseries": 14.25},
        data={"kind": "sample", "n_items": 3, "notes": ["雨の夜"]},
        created="2025-01-01T00:00:00Z",
        versions={"torch": "2"},
        licence="CC BY-NC-SA 4.0",
        notes=("a note",),
    )


def _projectors(info: BundleInfo, seed: int = 0) -> dict[Modality, Projector]:
    torch.manual_seed(seed)
    made = {modality: Projector(spec) for modality, spec in info.heads.items()}
    for head in made.values():
        torch.nn.init.normal_(head.linear.weight)
    return made


def test_everything_is_read_again(info: BundleInfo, tmp_path: Path) -> None:
    projectors = _projectors(info)
    save_projectors(tmp_path, projectors)
    write_bundle_info(tmp_path, info)
    again = read_bundle_info(tmp_path)
    assert again == info
    loaded = load_projectors(tmp_path, again)
    for modality, head in projectors.items():
        x = torch.randn(3, head.spec.in_dim)
        assert torch.equal(loaded[modality](x), head(x))
        assert not any(parameter.requires_grad for parameter in loaded[modality].parameters())


def test_files_are_plain_state_dicts_and_identical_in_any_folder(info: BundleInfo, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "another, longer name"]
    for folder in folders:
        folder.mkdir()
        save_projectors(folder, _projectors(info))
    one, two = ((folder / "image_projector.pt").read_bytes() for folder in folders)
    assert one == two
    state = torch.load(folders[0] / "image_projector.pt", weights_only=True)
    assert type(state) is dict
    assert set(state) == {"mean", "scale", "linear.weight", "linear.bias"}


def test_a_missing_folder_and_an_unfinished_bundle_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not there"):
        read_bundle_info(tmp_path / "nowhere")
    with pytest.raises(BundleError, match="no finished bundle"):
        read_bundle_info(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format_version": 1, "encoders": {}, "heads": 3}'])
def test_a_damaged_bundle_json_is_an_error_that_names_the_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match=r"bundle\.json") as caught:
        read_bundle_info(tmp_path)
    assert caught.value.remedy


def test_a_bundle_of_a_later_format_says_to_upgrade(info: BundleInfo, tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text(json.dumps({**info.to_json(), "format_version": 99}))
    with pytest.raises(BundleError, match="format 99"):
        read_bundle_info(tmp_path)


def test_missing_damaged_and_foreign_projectors_are_named(info: BundleInfo, tmp_path: Path) -> None:
    save_projectors(tmp_path, _projectors(info))
    path = tmp_path / "image_projector.pt"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    with pytest.raises(BundleError, match="image projector cannot be read"):
        load_projectors(tmp_path, info)
    torch.save(Projector(HeadSpec("residual", 7, 7)).state_dict(), path)
    with pytest.raises(BundleError, match=r"not the one of bundle\.json"):
        load_projectors(tmp_path, info)
    path.unlink()
    with pytest.raises(BundleError, match="image projector is missing") as caught:
        load_projectors(tmp_path, info)
    assert str(path) in str(caught.value)
