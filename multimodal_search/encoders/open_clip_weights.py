"""open_clip's networks: a model's usual weights, the activation they were trained with, loading."""

from __future__ import annotations

import threading
import warnings
import weakref
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from multimodal_search.encoders.runtime import Runtime
from multimodal_search.errors import EncoderError, nearest
from multimodal_search.types import EncoderCard

_USUAL_TAGS = {
    "ViT-B-32": "laion2b_s34b_b79k",
    "ViT-B-16": "laion2b_s34b_b88k",
    "ViT-L-14": "laion2b_s32b_b82k",
    "ViT-H-14": "laion2b_s32b_b79k",
}
_NO_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # kept beside the weights by OpenAI


def known_weights(model: str, weights: str | None) -> str:
    """A published tag, ``random``, or the path of a file; the model's usual tag for None.

    Raises:
        EncoderError: neither a tag of this model nor a file; or None and nothing is usual.
    """
    import open_clip

    tags = list(open_clip.list_pretrained_tags_by_model(model))
    if weights is None:
        # OpenAI's own: all ResNets, and every name that only they have weights for
        usual = "openai" if "openai" in tags and (model.startswith("RN") or "quickgelu" in model) else None
        weights = _USUAL_TAGS.get(model) or usual or (tags[0] if len(tags) == 1 else None)
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


def quick_gelu(model: str, weights: str) -> bool:
    """Whether these weights were trained with OpenAI's approximate GELU.

    The library builds a model by its name alone and only warns where a tag wants another activation. A local
    file is known for OpenAI's by its kind (a TorchScript archive, as they publish) or by the name of the
    repository it lies in; any other file has the activation of the model's name (``RN50-quickgelu``).
    """
    import open_clip

    if bool((open_clip.get_model_config(model) or {}).get("quick_gelu", False)):
        return True
    published = open_clip.get_pretrained_cfg(model, weights)
    if published:
        return bool(published.get("quick_gelu", False))
    path = Path(weights)
    return path.is_file() and (
        _is_torchscript(path)
        or any(part.endswith(".openai") for part in path.parts)  # timm/resnet50_clip.openai
    )


_networks: weakref.WeakValueDictionary[tuple[Any, ...], Any] = weakref.WeakValueDictionary()
_networks_lock = threading.Lock()


def network(model: str, card: EncoderCard, runtime: Runtime) -> Any:
    """A model with its weights: one in memory for both towers, for as long as a tower uses it.

    Raises:
        EncoderError: the weights cannot be reached, or do not fit.
    """
    if runtime.precision != "fp32":  # would be converted under the other tower's feet
        return _made(model, card)
    key = (model, card.weights, card.options.get("image_size"), runtime.device)
    with _networks_lock:
        found = _networks.get(key)
        if found is None:
            found = _made(model, card)
            _networks[key] = found
        return found


def _made(model: str, card: EncoderCard) -> Any:
    import open_clip
    import torch

    from multimodal_search.encoders.hub import hub_access, unreachable

    shape = {
        "force_quick_gelu": quick_gelu(model, card.weights),
        "force_image_size": card.options.get("image_size"),
    }
    if card.weights == "random":
        warnings.warn(f"{card.name} has random weights: for benchmarks and tests only", stacklevel=2)
        with hub_access(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            try:
                return open_clip.create_model(model, pretrained=None, pretrained_text=False, **shape)
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
            if not published and _is_torchscript(Path(card.weights)):
                return _from_torchscript(model, card.weights, shape)
            return open_clip.create_model(model, pretrained=card.weights, **shape)
        except OSError as error:
            raise unreachable(card.name, card.weights, card.modality, error) from error
        except Exception as error:
            raise EncoderError(
                f"These weights do not load into {card.name}: {_shortened(error)}",
                where=card.weights,
                remedy="weights of this very model; for a local file check that it is whole",
            ) from error


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _from_torchscript(model: str, file: str, shape: dict[str, Any]) -> Any:
    """A file as OpenAI publishes it, which ``torch.load(weights_only=True)`` refuses."""
    import open_clip
    import torch
    from open_clip.model import resize_pos_embed

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is deprecated
        load: Any = torch.jit.load
        state = load(file, map_location="cpu").state_dict()
    weights = {name: tensor for name, tensor in state.items() if name not in _NO_WEIGHTS}
    made = open_clip.create_model(model, pretrained=None, pretrained_text=False, **shape)
    resize_pos_embed(weights, made)
    made.load_state_dict(weights)
    return made


def _shortened(error: Exception) -> str:
    lines: Sequence[str] = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(line.strip() for line in lines[:2])[:300]
