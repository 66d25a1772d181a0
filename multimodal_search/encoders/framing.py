"""From a picture of any size to the pixels that a model takes: resized, then cut, padded or distorted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from multimodal_search.encoders.options import Resize

Pixels = npt.NDArray[np.uint8]

# A JPEG decoded at a half or a quarter should still be this much larger than the model's input: at less the
# two ways of making it small differ visibly (44 dB and below); benchmarks/decode.py prints the figures.
_MARGIN = 1.2


@dataclass(frozen=True, slots=True)
class Framing:
    """How one model wants its pictures; sizes are (height, width), as open_clip computes them.

    Attributes:
        size_px: what the model takes.
        cover_px: what a picture is made to cover before it is cut (``crop``); ``size_px`` where None.
        bilinear: else bicubic; both antialiased.
        rounds: the middle of an odd rest is rounded to even (torchvision), else down (transformers).
    """

    size_px: tuple[int, int]
    resize: Resize
    cover_px: tuple[int, int] | None = None
    bilinear: bool = False
    rounds: bool = True

    @property
    def enough_px(self) -> tuple[int, int]:
        """(height, width) from which a picture may be resized without visible loss."""
        height, width = self.cover_px or self.size_px
        return round(height * _MARGIN), round(width * _MARGIN)

    def of_image(self, picture: Image.Image) -> Pixels:
        """RGB picture -> ``size_px`` pixels (height, width, 3), by Pillow."""
        height, width = self._resized((picture.height, picture.width))
        how = Image.Resampling.BILINEAR if self.bilinear else Image.Resampling.BICUBIC
        return self._cut_or_padded(np.asarray(picture.resize((width, height), how)))

    def of_array(self, pixels: Pixels) -> Pixels:
        """RGB pixels (height, width, 3) -> ``size_px`` pixels; a level off Pillow's here and there.

        torch's resize of 8-bit pixels is Pillow's algorithm in vector instructions: five times as quick.
        """
        size = self._resized((pixels.shape[0], pixels.shape[1]))
        if size == pixels.shape[:2]:
            return self._cut_or_padded(pixels)
        source = torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())
        planes = source.unsqueeze(0).permute(0, 3, 1, 2)  # in this order torch knows it for channels-last
        mode = "bilinear" if self.bilinear else "bicubic"
        small = F.interpolate(planes, size, mode=mode, antialias=True)
        return self._cut_or_padded(small[0].permute(1, 2, 0).numpy())

    def _resized(self, size_px: tuple[int, int]) -> tuple[int, int]:
        if self.resize == "squash":
            return self.size_px
        height, width = size_px
        if self.resize == "pad":
            ratio = max(height / self.size_px[0], width / self.size_px[1])
            return max(1, round(height / ratio)), max(1, round(width / ratio))
        cover = self.cover_px or self.size_px
        if cover[0] != cover[1]:
            ratio = min(height / cover[0], width / cover[1])
            return round(height / ratio), round(width / ratio)
        side = cover[0]
        return (side, int(side * width / height)) if height <= width else (int(side * height / width), side)

    def _cut_or_padded(self, pixels: Pixels) -> Pixels:
        for axis, wanted in enumerate(self.size_px):
            rest = pixels.shape[axis] - wanted
            if rest > 0:
                start = round(rest / 2) if self.rounds else rest // 2
                pixels = pixels[start : start + wanted] if axis == 0 else pixels[:, start : start + wanted]
            elif rest < 0:
                around = [(0, 0)] * 3
                around[axis] = (-rest // 2, (1 - rest) // 2)
                pixels = np.pad(pixels, around)
        return np.ascontiguousarray(pixels)
