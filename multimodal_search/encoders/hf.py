"""``hf/<id or folder>``: vision and text models of the transformers library.

Vision (DINOv2, ViT): ``default`` is the model's own pooled output, the class token where it has none. Text
(sentence encoders): ``default`` is the mean over tokens that are not padding. The card comes from
``config.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    """See ``encoders.card``; takes the option ``grid`` (rows, columns) with ``pool="grid"``."""
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
    size = _image_size(where, config) if is_vision else None
    pools = _pools(config, is_vision)
    if pool not in pools:
        raise EncoderError(
            f"{name} has no pooling {pool!r}",
            remedy=f"one of {list(pools)}; grid needs a vision transformer with square patches",
        )
    return EncoderCard(
        name=name,
        weights=weights,
        modality=modality,
        dim=int(config.hidden_size if hasattr(config, "hidden_size") else config.hidden_sizes[-1]),
        image_size_px=size,
        pool=pool,
        pools=pools,
        options=_checked_options(name, pool, options),
    )


def load(card: EncoderCard, device: str) -> FrozenEncoder:
    """See ``encoders.build_from_card``."""
    from multimodal_search.encoders.hf_models import HfImage, HfText

    kind = HfImage if card.modality is Modality.IMAGE else HfText
    model = card.name.partition("/")[2]
    config = read_config(card.name, source(model, card.weights), card.modality)
    return kind(card, device, source(model, card.weights), config)


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


def _image_size(where: str, config: Any) -> tuple[int, int] | None:
    """(height, width) that the image processor hands over; the configuration's own where it does not say."""
    from transformers import BaseImageProcessor

    from multimodal_search.encoders.hub import hub_access

    with hub_access(local=Path(where).is_dir()):
        try:
            settings, _ = BaseImageProcessor.get_image_processor_dict(where)
        except (OSError, ValueError):
            settings = {}  # loading the model will say so
    size = settings.get("crop_size") if settings.get("do_center_crop") else settings.get("size")
    size = size or getattr(config, "image_size", None)
    if isinstance(size, Mapping):
        size = (size["height"], size["width"]) if "height" in size else None
    if size is None:
        return None
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def _pools(config: Any, is_vision: bool) -> tuple[Pool, ...]:
    if not is_vision:
        return _TEXT_POOLS
    patches = isinstance(getattr(config, "patch_size", None), int) and hasattr(config, "num_attention_heads")
    return _VISION_POOLS if patches else ("default",)


def _checked_options(name: str, pool: Pool, options: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(options) - {"grid"})
    if unknown:
        raise EncoderError(f"{name} has no option {unknown[0]!r}", remedy="its one option is grid")
    target = options.get("grid")
    if pool != "grid" or target is None:
        return {}
    if len(target) != 2 or min(target) < 1:
        raise EncoderError(f"{name}: a grid is (rows, columns), not {target!r}")
    return {"grid": [int(side) for side in target]}
