"""``hf/<id or folder>``: vision and text models of the transformers library.

Vision (DINOv2, ViT): ``default`` is the model's own pooled output, the class token where it has none. Text
(sentence encoders): ``default`` is the mean over tokens that are not padding. The card comes from
``config.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multimodal_search.encoders import options as shared
from multimodal_search.encoders.runtime import Runtime
from multimodal_search.errors import EncoderError
from multimodal_search.types import EncoderCard, Modality, Pool

if TYPE_CHECKING:
    from multimodal_search.encoders.base import FrozenEncoder

PUBLISHED = "published"
_VISION_POOLS: tuple[Pool, ...] = ("default", "cls", "mean", "grid")
_TEXT_POOLS: tuple[Pool, ...] = ("default", "cls", "mean")


def models() -> list[str]:
    """Examples; any id or folder with a vision or a text model will do."""
    return ["facebook/dinov2-small", "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"]


def card(
    model: str, modality: Modality, weights: str | None, pool: Pool, options: dict[str, Any]
) -> EncoderCard:
    """See ``encoders.card``; vision models have the options ``grid``, ``image_size`` and ``resize``."""
    name = f"hf/{model}"
    if modality is Modality.TIMESERIES:
        raise EncoderError(f"{name} encodes image or text, not timeseries", remedy="timeseries/statistics")
    weights = _known_weights(name, model, weights)
    where = source(model, weights)
    config = read_config(name, where, modality)
    is_vision = getattr(config, "num_channels", None) is not None
    if is_vision is not (modality is Modality.IMAGE):
        kind = "image" if is_vision else "text"
        raise EncoderError(f"{name} is a {kind} model ({config.model_type}), not {modality.value}")
    size: tuple[int, int] | None = None
    checked: dict[str, Any] = {}
    pools = _pools(config, is_vision)
    if pool not in pools:
        raise EncoderError(
            f"{name} has no pooling {pool!r}",
            remedy=f"one of {list(pools)}; cls, mean and grid are for {shared.WITH_GRIDS}",
        )
    if is_vision:
        size, checked = _image_options(name, where, config, pool, options)
    else:
        shared.check_known(name, options, ())
    return EncoderCard(
        name=name,
        weights=weights,
        modality=modality,
        dim=int(config.hidden_size if hasattr(config, "hidden_size") else config.hidden_sizes[-1]),
        image_size_px=size,
        pool=pool,
        pools=pools,
        options=checked,
    )


def load(card: EncoderCard, runtime: Runtime) -> FrozenEncoder:
    """See ``encoders.build_from_card``."""
    from multimodal_search.encoders.hf_image import HfImage
    from multimodal_search.encoders.hf_text import HfText

    kind = HfImage if card.modality is Modality.IMAGE else HfText
    model = card.name.partition("/")[2]
    config = read_config(card.name, source(model, card.weights), card.modality)
    return kind(card, runtime, source(model, card.weights), config)


def source(model: str, weights: str) -> str:
    """The id or folder that files are read from: a folder given as weights comes first."""
    if weights in (PUBLISHED, "random"):
        folder = Path(model).expanduser()
        return str(folder) if folder.is_dir() else model
    return weights


def read_config(name: str, where: str, modality: Modality) -> Any:
    """The transformers configuration of an id or folder.

    Raises:
        EncoderError: it cannot be had, or the library does not know this kind of model.
    """
    from transformers import AutoConfig

    from multimodal_search.encoders.hub import hub_access, unreachable

    folder = Path(where).is_dir()
    if not folder and (where.startswith(("/", "~", ".")) or where.count("/") > 1):
        raise EncoderError(
            f"{name} is neither a folder here nor an id of the hub",
            where=where,
            remedy="hf/organisation/model, or hf/ and the path of a folder that holds config.json",
        )
    with hub_access(local=folder):
        try:
            config = AutoConfig.from_pretrained(where)
        except Exception as error:  # the library raises OSError for most, ValueError or KeyError for the rest
            if not folder:
                raise unreachable(name, "config.json", modality, error) from error
            raise EncoderError(
                f"The folder of {name} holds no configuration that transformers reads: "
                f"{str(error).splitlines()[0]}",
                where=Path(where) / "config.json",
                remedy="a folder that save_pretrained wrote, or a copy of a hub repository",
            ) from error
    if getattr(config, "is_encoder_decoder", False) or hasattr(config, "vision_config"):
        raise EncoderError(
            f"{name} is a {config.model_type} model: neither one vision nor one text encoder",
            remedy="for CLIP and SigLIP use open_clip/<model>; for text a sentence encoder such as "
            "hf/sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        )
    return config


def _known_weights(name: str, model: str, weights: str | None) -> str:
    if weights in (None, PUBLISHED):
        return PUBLISHED
    if weights == "random":
        return weights
    folder = Path(str(weights)).expanduser()
    if not folder.is_dir():
        raise EncoderError(
            f"The weights of {name} are not a folder",
            where=weights,
            remedy="a folder with config.json and model.safetensors; or leave the weights out; or 'random'",
        )
    return str(folder.resolve())


def _processor_settings(where: str) -> dict[str, Any]:
    from transformers import BaseImageProcessor

    from multimodal_search.encoders.hub import hub_access

    with hub_access(local=Path(where).is_dir()):
        try:
            settings, _ = BaseImageProcessor.get_image_processor_dict(where)
        except (OSError, ValueError):
            return {}  # loading the model will say so
    return dict(settings)


def _image_size(settings: Mapping[str, Any], config: Any) -> tuple[int, int] | None:
    """(height, width) that the image processor hands over; the configuration's own where it does not say."""
    size = settings.get("crop_size") if settings.get("do_center_crop") else settings.get("size")
    size = size or getattr(config, "image_size", None)
    if isinstance(size, Mapping):
        size = (size["height"], size["width"]) if "height" in size else None
    if size is None:
        return None
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def _patch_px(config: Any) -> int | None:
    """Side of a patch of a vision transformer with square ones."""
    patch = getattr(config, "patch_size", None)
    return patch if isinstance(patch, int) and hasattr(config, "num_attention_heads") else None


def _pools(config: Any, is_vision: bool) -> tuple[Pool, ...]:
    if not is_vision:
        return _TEXT_POOLS
    return ("default",) if _patch_px(config) is None else _VISION_POOLS


def _image_options(
    name: str, where: str, config: Any, pool: Pool, given: dict[str, Any]
) -> tuple[tuple[int, int] | None, dict[str, Any]]:
    """(height, width) of the input, and the options that are not the model's own."""
    shared.check_known(name, given, ("grid", "image_size", "resize"))
    settings = _processor_settings(where)
    size = _image_size(settings, config)
    patch = _patch_px(config)
    own = "crop" if settings.get("do_center_crop") else "squash" if size is not None else None
    checked = shared.resize_option(name, given, own)
    if size is None and checked:
        raise EncoderError(
            f"{name} takes pictures of any size, so that none is resized", remedy="leave it out"
        )
    checked |= shared.image_size_option(name, given, size, patch)
    if "image_size" in checked:
        size = (checked["image_size"], checked["image_size"])
    if pool == "grid" and size is not None and patch is not None:
        checked |= shared.grid_option(name, given, (size[0] // patch, size[1] // patch), patch)
    elif pool == "grid" and given.get("grid") is not None:
        raise EncoderError(f"{name} has no patch grid of one size", remedy="leave the grid out")
    return size, checked
