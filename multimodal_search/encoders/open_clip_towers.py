"""The two towers of an open_clip model, frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import open_clip
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor, nn

from multimodal_search.encoders import pooling
from multimodal_search.encoders.fingerprint import PROBE_TEXTS
from multimodal_search.encoders.framing import Framing, Pixels
from multimodal_search.encoders.hub import hub_access, unreachable
from multimodal_search.encoders.image_encoder import ImageEncoder, channels
from multimodal_search.encoders.open_clip import RESIZES, library_resize
from multimodal_search.encoders.runtime import Runtime
from multimodal_search.encoders.torch_encoder import TorchEncoder, checked_text
from multimodal_search.types import EncoderCard


def _is_visual(name: str) -> bool:
    return name.startswith("visual.")


def _is_textual(name: str) -> bool:
    return not _is_visual(name) and not name.startswith(("logit_", "text_decoder."))


class ClipImage(ImageEncoder):
    """The image tower; pictures go through the 8-bit part of the library's own evaluation transform."""

    def __init__(
        self, card: EncoderCard, network: nn.Module, runtime: Runtime, settings: Mapping[str, Any]
    ) -> None:
        visual: Any = network.visual
        config = dict(visual.preprocess_cfg)
        if "resize" in card.options:
            config["resize_mode"] = library_resize(card.options["resize"])
        self._resized = image_transform_v2(PreprocessCfg(**config), is_train=False)
        del self._resized.transforms[-2:]  # they make float numbers and normalise them
        size = config["size"]
        self.framing = Framing(
            (size, size) if isinstance(size, int) else (size[0], size[1]),
            RESIZES[config["resize_mode"]],
            bilinear=config["interpolation"] == "bilinear",
        )
        shown = {name: config[name] for name in ("size", "mean", "std", "interpolation", "resize_mode")}
        super().__init__(card, network, runtime, {**settings, "preprocess": shown}, own=_is_visual)
        self._mean, self._std = (channels(config[name], self.device) for name in ("mean", "std"))

    def _of_image(self, picture: Image.Image) -> Pixels:
        return np.asarray(self._resized(picture))

    def _scaled(self, pixels: Tensor) -> Tensor:
        return pixels.div_(255).sub_(self._mean).div_(self._std)

    def _forward(self, pictures: Tensor) -> Tensor:
        network: Any = self._module
        if self.card.pool == "default":
            result: Tensor = network.encode_image(pictures)
            return result
        found = network.visual.forward_intermediates(
            pictures, indices=1, normalize_intermediates=True, output_fmt="NLC", output_extra_tokens=True
        )
        patches: Tensor = found["image_intermediates"][0]
        if self.card.pool == "cls":
            return pooling.cls(found["image_intermediates_prefix"][0])
        if self.card.pool == "mean":
            return pooling.mean(patches)
        rows, columns = network.visual.grid_size
        target_rows, target_columns = self.card.options["grid"]
        return pooling.grid(patches, (rows, columns), (target_rows, target_columns))


class ClipText(TorchEncoder):
    """The text tower, with the library's tokenizer for this model (SigLIP's pads to 64 tokens)."""

    def __init__(
        self, card: EncoderCard, network: nn.Module, runtime: Runtime, settings: Mapping[str, Any]
    ) -> None:
        with hub_access():
            try:
                self._tokenizer = open_clip.get_tokenizer(card.name.partition("/")[2])
            except (
                Exception
            ) as error:  # the hub raises many kinds; each means that the tokenizer is not there
                raise unreachable(card.name, "its tokenizer", card.modality, error) from error
        probe = self._tokenizer(list(PROBE_TEXTS)).tolist()
        super().__init__(card, network, runtime, {**settings, "probe": probe}, own=_is_textual)

    def preprocess(self, raw: Any) -> str:
        """A text, stripped."""
        return checked_text(raw)

    def _inputs(self, ready: Sequence[Any]) -> dict[str, Tensor]:
        return {"ids": self._tokenizer(list(ready))}

    def _run(self, **inputs: Tensor) -> Tensor:
        network: Any = self._module
        result: Tensor = network.encode_text(inputs["ids"])
        return result
