"""A transformers image processor in two halves: 8-bit pixels here, numbers on the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from transformers import AutoImageProcessor

from multimodal_search.encoders.framing import Framing
from multimodal_search.encoders.hf_models import part
from multimodal_search.encoders.image_encoder import channels
from multimodal_search.encoders.options import Resize
from multimodal_search.types import EncoderCard

_SHOWN = (
    "do_resize",
    "size",
    "resample",
    "do_center_crop",
    "crop_size",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
)


class HfProcessor:
    """The image processor of a model's repository, with the card's image size and way to resize.

    Attributes:
        described: its settings, for the fingerprint.
        framing: the same as far as pixels go, in our own words; None where the processor is of another kind.
            Then pictures become the processor's own float numbers.
        shift_and_scale: three numbers a colour each; ``(pixels - shift) / scale`` is what the model takes.
    """

    def __init__(self, card: EncoderCard, where: str) -> None:
        self._processor: Any = part(AutoImageProcessor, card, where, "preprocessor_config.json")
        known = self._processor.to_dict()
        self.described = {name: _plain(known.get(name)) for name in _SHOWN}
        self._sizes = _sizes(self.described, card)
        self.shift_and_scale = _shift_and_scale(self.described)
        exact = self._splits()
        self.framing = self._framing(card) if exact else None
        self._arguments: dict[str, Any] = dict(self._sizes)
        if self.framing is not None:
            self._arguments |= {"do_rescale": False, "do_normalize": False}

    def __call__(self, picture: Image.Image | npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """(height, width, 3) uint8, or (3, height, width) float32 where there is no ``framing``."""
        found: npt.NDArray[Any] = self._pixels(picture, self._arguments).numpy()
        return found if self.framing is None else np.ascontiguousarray(found.transpose(1, 2, 0))

    def _pixels(self, picture: Any, arguments: Mapping[str, Any]) -> torch.Tensor:
        found: torch.Tensor = self._processor(images=picture, return_tensors="pt", **arguments)[
            "pixel_values"
        ][0]
        return found

    def _splits(self) -> bool:
        """Whether pixels and ``shift_and_scale`` together are what the processor makes, bit by bit."""
        noise = np.random.default_rng(0).integers(0, 256, (97, 131, 3), dtype=np.uint8)
        picture = Image.fromarray(noise)
        try:
            pixels = self._pixels(picture, {**self._sizes, "do_rescale": False, "do_normalize": False})
            whole = self._pixels(picture, self._sizes)
        except (TypeError, ValueError):
            return False
        if pixels.dtype is not torch.uint8 or pixels.ndim != 3 or pixels.shape[0] != 3:
            return False
        shift, scale = (channels(one, pixels.device) for one in self.shift_and_scale)
        return bool(torch.equal(pixels.float().sub_(shift).div_(scale), whole))

    def _framing(self, card: EncoderCard) -> Framing | None:
        size, cover = _target(self._sizes, self.described)
        if size is None:
            return None
        own: Resize = "crop" if self.described["do_center_crop"] else "squash"
        return Framing(
            size,
            card.options.get("resize", own),
            cover_px=cover,
            bilinear=self.described["resample"] == Image.Resampling.BILINEAR,
            rounds=False,
        )


def _sizes(described: Mapping[str, Any], card: EncoderCard) -> dict[str, Any]:
    """Arguments of the processor that give the card's image size: both sizes scaled alike."""
    side = card.options.get("image_size")
    if side is None:
        return {}
    size, cover = _target({}, described)
    if size is None or cover is None:
        return {"size": {"height": side, "width": side}}
    return {
        "size": {"shortest_edge": round(cover[0] * side / size[0])},
        "crop_size": {"height": side, "width": side},
    }


def _target(
    changed: Mapping[str, Any], described: Mapping[str, Any]
) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """What comes out, and what is covered before it is cut, (height, width) each; None where not known."""
    size = changed.get("size", described["size"]) or {}
    crop = changed.get("crop_size", described["crop_size"]) or {}
    if not described["do_resize"] or not isinstance(size, Mapping):
        return None, None
    if not described["do_center_crop"]:
        if set(size) != {"height", "width"}:
            return None, None
        return (size["height"], size["width"]), None
    if set(size) != {"shortest_edge"} or set(crop) != {"height", "width"}:
        return None, None
    return (crop["height"], crop["width"]), (size["shortest_edge"], size["shortest_edge"])


def _shift_and_scale(described: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """As the library fuses its two steps: mean and deviation times the inverse of the factor."""
    inverse = 1.0 / float(described["rescale_factor"] or 1.0) if described["do_rescale"] else 1.0
    if not described["do_normalize"]:
        return [0.0] * 3, [inverse] * 3
    mean, deviation = (
        torch.tensor(described[name], dtype=torch.float32) * inverse for name in ("image_mean", "image_std")
    )
    return mean.tolist(), deviation.tolist()


def _plain(value: Any) -> Any:
    """A processor's setting as JSON has it, whatever class this version of the library holds it in."""
    if value is None or isinstance(value, bool | str | float):
        return value
    if isinstance(value, int):  # PIL's resampling names too
        return int(value)
    if hasattr(value, "items"):
        return {str(key): _plain(one) for key, one in value.items() if one is not None}
    return [_plain(one) for one in value]
