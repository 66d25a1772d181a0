"""``sample/vit`` and ``sample/text``: small encoders of the sample world whose weights ship in the package.

They know the procedural driving world of ``sources.sample`` in English and Japanese, and little else: they
make the first command need no download. Trained by ``data_preparation/train_sample_encoders.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.errors import EncoderError, nearest
from multimodal_search.types import EncoderCard, Modality, Pool

if TYPE_CHECKING:
    from pathlib import Path

MODELS = {"vit": Modality.IMAGE, "text": Modality.TEXT}
SHIPPED = "shipped"
DIM = 128
IMAGE_SIZE_PX = (96, 160)
CONTEXT_LENGTH = 96
_POOLS: dict[str, tuple[Pool, ...]] = {"vit": ("default", "cls", "mean", "grid"), "text": ("default",)}
_TOKEN_DIM = 144


def models() -> list[str]:
    """Known model names."""
    return list(MODELS)


def card(
    model: str, modality: Modality, weights: str | None, pool: Pool, options: dict[str, Any]
) -> EncoderCard:
    """See ``encoders.card``."""
    if model not in MODELS:
        raise EncoderError(f"Unknown sample encoder {model!r}: {nearest(model, models())}")
    if MODELS[model] is not modality:
        fitting = next(name for name, kind in MODELS.items() if kind is not MODELS[model])
        raise EncoderError(
            f"sample/{model} encodes {MODELS[model].value}, not {modality.value}",
            remedy=f"sample/{fitting} encodes {MODELS[fitting].value}",
        )
    if weights not in (None, SHIPPED):
        raise EncoderError(
            f"sample/{model} has no weights {weights!r}", remedy=f"leave them out, or say {SHIPPED!r}"
        )
    if options:
        raise EncoderError(f"sample/{model} has no option {sorted(options)}", remedy="leave them out")
    if pool not in _POOLS[model]:
        raise EncoderError(f"sample/{model} has no pooling {pool!r}", remedy=f"one of {list(_POOLS[model])}")
    return EncoderCard(
        name=f"sample/{model}",
        weights=SHIPPED,
        modality=modality,
        dim=DIM if pool == "default" else _TOKEN_DIM,
        image_size_px=IMAGE_SIZE_PX if model == "vit" else None,
        pool=pool,
        pools=_POOLS[model],
        licence="Apache-2.0",
        space="sample" if pool == "default" else None,
    )


def load(card: EncoderCard, device: str) -> FrozenEncoder:
    """See ``encoders.build_from_card``."""
    from multimodal_search.encoders.sample_towers import SampleText, SampleVit

    kind = SampleVit if card.modality is Modality.IMAGE else SampleText
    return kind(card, device, weights_folder())


def weights_folder() -> Path:
    """Where the shipped files are: two ``.safetensors`` and the tokenizer."""
    from pathlib import Path

    return Path(str(files("multimodal_search.encoders") / "weights"))


def squash(picture: Any) -> Any:
    """RGB picture -> (3, height, width) float32 array in [-1, 1]; the whole picture, whatever its shape."""
    import numpy as np
    from PIL import Image

    height, width = IMAGE_SIZE_PX
    small = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(small, dtype=np.float32).transpose(2, 0, 1) / 127.5 - 1.0


def padded_ids(tokenizer: Any, texts: Sequence[str]) -> Any:
    """(batch, longest) int64 token ids, 0 where padded, at most ``CONTEXT_LENGTH`` long."""
    import numpy as np

    # one by one: the batch call starts threads, and warns when a worker process is forked afterwards
    rows = [tokenizer.encode(text).ids[:CONTEXT_LENGTH] for text in texts]
    ids = np.zeros((len(rows), max(map(len, rows), default=0) or 1), dtype=np.int64)
    for row, tokens in zip(ids, rows, strict=True):
        row[: len(tokens)] = tokens
    return ids
