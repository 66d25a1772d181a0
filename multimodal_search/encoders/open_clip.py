"""``open_clip/<model>``: both towers of CLIP-like models through the open_clip library.

Preprocessing, tokenizer and weights are the library's own, so outputs equal its
``encode_image``/``encode_text``.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from multimodal_search.encoders import options as shared
from multimodal_search.encoders.open_clip_weights import known_weights, network, quick_gelu
from multimodal_search.encoders.runtime import Runtime
from multimodal_search.errors import EncoderError, nearest
from multimodal_search.types import EncoderCard, Modality, Pool

if TYPE_CHECKING:
    from multimodal_search.encoders.base import FrozenEncoder

_PATCH_POOLS: tuple[Pool, ...] = ("default", "cls", "mean", "grid")
RESIZES: dict[str, shared.Resize] = {"shortest": "crop", "longest": "pad", "squash": "squash"}
"""The library's word for a way to resize -> ours."""
_LICENCES = {  # by the start of the tag; of the weights, the code is MIT
    "openai": "MIT",
    "laion": "MIT",
    "datacomp": "MIT",
    "commonpool": "MIT",
    "webli": "Apache-2.0",
    "metaclip": "CC-BY-NC-4.0",
    "dfn": "Apple ML research licence",
}


def models() -> list[str]:
    """Known model names."""
    import open_clip

    return list(open_clip.list_models())


def card(
    model: str, modality: Modality, weights: str | None, pool: Pool, options: dict[str, Any]
) -> EncoderCard:
    """See ``encoders.card``; the image tower has the options ``grid``, ``image_size`` and ``resize``."""
    model = library_name(model)
    config = _config(model)
    name = f"open_clip/{model}"
    if modality is Modality.TIMESERIES:
        raise EncoderError(f"{name} encodes image and text, not timeseries", remedy="timeseries/statistics")
    weights = known_weights(model, weights)
    vision = config["vision_cfg"]
    pools = _PATCH_POOLS if modality is Modality.IMAGE and _has_patch_tokens(vision) else ("default",)
    if pool not in pools:
        raise EncoderError(
            f"{name} ({modality.value}) has no pooling {pool!r}",
            remedy=f"one of {list(pools)}; cls, mean and grid are for {shared.WITH_GRIDS}",
        )
    size: tuple[int, int] | None = None
    checked: dict[str, Any] = {}
    if modality is Modality.IMAGE:
        size, checked = _image_options(name, model, weights, pool, options, vision)
    else:
        shared.check_known(name, options, ())
    return EncoderCard(
        name=name,
        weights=weights,
        modality=modality,
        dim=config["embed_dim"] if pool == "default" else vision["width"],
        image_size_px=size,
        pool=pool,
        pools=pools,
        licence=next((one for start, one in _LICENCES.items() if weights.startswith(start)), "unknown"),
        space=f"{name}@{weights}" if pool == "default" else None,
        options=checked,
    )


def load(card: EncoderCard, runtime: Runtime) -> FrozenEncoder:
    """See ``encoders.build_from_card``; both towers of one model share its weights in memory."""
    from multimodal_search.encoders.open_clip_towers import ClipImage, ClipText

    model = card.name.partition("/")[2]
    made = network(model, card, runtime)
    tower = ClipImage if card.modality is Modality.IMAGE else ClipText
    return tower(card, made, runtime, tower_settings(model, card))


def library_name(model: str) -> str:
    """open_clip's spelling of a model: OpenAI's ``ViT-L/14@336px`` is ``ViT-L-14-336``."""
    return model.replace("/", "-").replace("@336px", "-336")


def tower_settings(model: str, card: EncoderCard) -> dict[str, Any]:
    """What decides a tower's output besides its weights, for the fingerprint."""
    config = _config(model)
    part = config["vision_cfg" if card.modality is Modality.IMAGE else "text_cfg"]
    if "image_size" in card.options:
        part["image_size"] = card.options["image_size"]
    shape = {
        "tower": part,
        "quick_gelu": quick_gelu(model, card.weights),
        "grid": card.options.get("grid"),
    }
    return dict(json.loads(json.dumps(shape, default=str)))


def library_resize(resize: str) -> str:
    """open_clip's word for a way to resize."""
    return next(theirs for theirs, ours in RESIZES.items() if ours == resize)


def _config(model: str) -> dict[str, Any]:
    import open_clip

    config = open_clip.get_model_config(model)
    if config is None:
        raise EncoderError(f"Unknown open_clip model {model!r}: {nearest(model, models())}")
    return copy.deepcopy(dict(config))


def _own_transformer(vision: dict[str, Any]) -> bool:
    return "timm_model_name" not in vision and isinstance(vision.get("layers"), int)


def _has_patch_tokens(vision: dict[str, Any]) -> bool:
    return _own_transformer(vision) and not vision.get("attentional_pool")


def _image_options(
    name: str, model: str, weights: str, pool: Pool, given: dict[str, Any], vision: dict[str, Any]
) -> tuple[tuple[int, int], dict[str, Any]]:
    """(height, width) of the input, and the options that are not the model's own."""
    import open_clip

    shared.check_known(name, given, ("grid", "image_size", "resize"))
    side = vision["image_size"]
    size = (side, side) if isinstance(side, int) else (int(side[0]), int(side[1]))
    patch = vision["patch_size"] if _own_transformer(vision) else None
    published = open_clip.get_pretrained_cfg(model, weights) or {}
    own = RESIZES[published.get("resize_mode", "shortest")]
    checked = shared.resize_option(name, given, own)
    checked |= shared.image_size_option(name, given, size, patch)
    if "image_size" in checked:
        size = (checked["image_size"], checked["image_size"])
    if pool == "grid" and patch is not None:
        checked |= shared.grid_option(name, given, (size[0] // patch, size[1] // patch), patch)
    return size, checked
