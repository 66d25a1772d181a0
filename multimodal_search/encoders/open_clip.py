"""``open_clip/<model>``: both towers of CLIP-like models through the open_clip library.

Preprocessing, tokenizer and weights are the library's own, so outputs equal its
``encode_image``/``encode_text``.
"""

from __future__ import annotations

import copy
import json
import threading
import warnings
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multimodal_search.errors import EncoderError, nearest
from multimodal_search.types import EncoderCard, Modality, Pool

if TYPE_CHECKING:
    from multimodal_search.encoders.base import FrozenEncoder

_USUAL_TAGS = {
    "ViT-B-32": "laion2b_s34b_b79k",
    "ViT-B-16": "laion2b_s34b_b88k",
    "ViT-L-14": "laion2b_s32b_b82k",
    "ViT-H-14": "laion2b_s32b_b79k",
    "RN50": "openai",
}
_PATCH_POOLS: tuple[Pool, ...] = ("default", "cls", "mean", "grid")
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
    """See ``encoders.card``; takes the option ``grid`` (rows, columns) with ``pool="grid"``."""
    model = library_name(model)
    config = _config(model)
    name = f"open_clip/{model}"
    if modality is Modality.TIMESERIES:
        raise EncoderError(f"{name} encodes image and text, not timeseries", remedy="timeseries/statistics")
    weights = _known_weights(model, weights)
    vision = config["vision_cfg"]
    pools = _PATCH_POOLS if modality is Modality.IMAGE and _has_patch_tokens(vision) else ("default",)
    if pool not in pools:
        raise EncoderError(
            f"{name} ({modality.value}) has no pooling {pool!r}",
            remedy=f"one of {list(pools)}; cls, mean and grid are for open_clip's own ViT-* models",
        )
    size = vision["image_size"]
    height, width = (size, size) if isinstance(size, int) else tuple(size)
    options = _checked_options(name, pool, options, (height, width), vision)
    return EncoderCard(
        name=name,
        weights=weights,
        modality=modality,
        dim=config["embed_dim"] if pool == "default" else vision["width"],
        image_size_px=(height, width) if modality is Modality.IMAGE else None,
        pool=pool,
        pools=pools,
        licence=next((one for start, one in _LICENCES.items() if weights.startswith(start)), "unknown"),
        space=f"{name}@{weights}" if pool == "default" else None,
        options=options,
    )


def load(card: EncoderCard, device: str) -> FrozenEncoder:
    """See ``encoders.build_from_card``; both towers of one model share its weights in memory."""
    from multimodal_search.encoders.open_clip_towers import ClipImage, ClipText

    model = card.name.partition("/")[2]
    network = _shared_network(model, card, device)
    tower = ClipImage if card.modality is Modality.IMAGE else ClipText
    return tower(card, network, device, tower_settings(model, card))


def library_name(model: str) -> str:
    """open_clip's spelling of a model: OpenAI's ``ViT-L/14@336px`` is ``ViT-L-14-336``."""
    return model.replace("/", "-").replace("@336px", "-336")


def tower_settings(model: str, card: EncoderCard) -> dict[str, Any]:
    """What decides a tower's output besides its weights, for the fingerprint."""
    config = _config(model)
    part = config["vision_cfg" if card.modality is Modality.IMAGE else "text_cfg"]
    shape = {"tower": part, "quick_gelu": config.get("quick_gelu", False), "grid": card.options.get("grid")}
    return dict(json.loads(json.dumps(shape, default=str)))


def _config(model: str) -> dict[str, Any]:
    import open_clip

    config = open_clip.get_model_config(model)
    if config is None:
        raise EncoderError(f"Unknown open_clip model {model!r}: {nearest(model, models())}")
    return copy.deepcopy(dict(config))


def _has_patch_tokens(vision: dict[str, Any]) -> bool:
    own_transformer = "timm_model_name" not in vision and isinstance(vision.get("layers"), int)
    return own_transformer and not vision.get("attentional_pool")


def _known_weights(model: str, weights: str | None) -> str:
    import open_clip

    tags = list(open_clip.list_pretrained_tags_by_model(model))
    if weights is None:
        weights = _USUAL_TAGS.get(model) or (tags[0] if len(tags) == 1 else None)
        if weights is None:
            raise EncoderError(
                f"open_clip/{model} needs to know which weights", remedy=f"one of {tags}, or a local file"
            )
        return weights
    if weights == "random" or weights in tags:
        return weights
    path = Path(weights).expanduser()
    if path.is_file():
        return str(path.resolve())
    raise EncoderError(
        f"open_clip/{model} has no weights {weights!r}, and there is no such file: {nearest(weights, tags)}",
        remedy="a published tag of this model, a local .pt, .bin or .safetensors file, or 'random'",
    )


def _checked_options(
    name: str, pool: Pool, options: dict[str, Any], size: tuple[int, int], vision: dict[str, Any]
) -> dict[str, Any]:
    unknown = sorted(set(options) - {"grid"})
    if unknown:
        raise EncoderError(
            f"{name} has no option {unknown[0]!r}", remedy="grid=(rows, columns) is the one it has"
        )
    if pool != "grid":
        return {}
    shape = (size[0] // vision["patch_size"], size[1] // vision["patch_size"])
    target = tuple(options.get("grid") or shape)
    if len(target) != 2 or min(target) < 1 or shape[0] % target[0] or shape[1] % target[1]:
        raise EncoderError(
            f"{name} has a grid of {shape[0]}x{shape[1]} patches, which {target} does not divide",
            remedy="rows and columns that divide it",
        )
    return {"grid": list(target)}


_networks: weakref.WeakValueDictionary[tuple[str, str, str], Any] = weakref.WeakValueDictionary()
_networks_lock = threading.Lock()


def _shared_network(model: str, card: EncoderCard, device: str) -> Any:
    """One network in memory a (model, weights, device), for as long as a tower uses it."""
    key = (model, card.weights, device)
    with _networks_lock:
        network = _networks.get(key)
        if network is None:
            network = _network(model, card)
            _networks[key] = network
        return network


def _network(model: str, card: EncoderCard) -> Any:
    import open_clip
    import torch

    from multimodal_search.encoders.hub import hub_access, unreachable

    if card.weights == "random":
        warnings.warn(f"{card.name} has random weights: for benchmarks and tests only", stacklevel=2)
        with hub_access(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            try:
                return open_clip.create_model(model, pretrained=None, pretrained_text=False)
            except OSError as error:
                raise unreachable(card.name, card.weights, card.modality, error) from error
    published = open_clip.get_pretrained_cfg(model, card.weights)
    if not published and not Path(card.weights).is_file():
        raise EncoderError(
            f"The weights of {card.name} are not there",
            where=card.weights,
            remedy="put the file back, or name another: a published tag or a local file",
        )
    with hub_access():
        try:
            if published:
                open_clip.download_pretrained(published)
        except Exception as error:  # the library and the hub raise many kinds; each means "not to be had"
            raise unreachable(card.name, card.weights, card.modality, error) from error
        try:
            return open_clip.create_model(model, pretrained=card.weights)
        except OSError as error:
            raise unreachable(card.name, card.weights, card.modality, error) from error
        except Exception as error:
            raise EncoderError(
                f"These weights do not load into {card.name}: {_shortened(error)}",
                where=card.weights,
                remedy="weights of this very model; for a local file check that it is whole",
            ) from error


def _shortened(error: Exception) -> str:
    lines: Sequence[str] = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(line.strip() for line in lines[:2])[:300]
