"""One digest for what decides an encoder's output: its weights, its preprocessing, its pooling.

The output itself is not hashed. A rounded output has values that sit on a rounding boundary, so the same
model on another processor, on a GPU, or under another BLAS would now and then get another digest, and a good
bundle would be refused. Weights, token ids and settings are exact everywhere; together they decide the
output.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import nn

PROBE_TEXTS = (
    "A car turns left at a wet junction.",
    "雨の交差点を左折する車",
    "",
)  # go through the tokenizer


def fingerprint(settings: Mapping[str, Any], arrays: Iterable[tuple[str, npt.NDArray[Any]]] = ()) -> str:
    """SHA-256, hex, of settings and of named arrays (name, shape, type and bytes), whatever their order.

    Args:
        settings: JSON-able: model name, pooling, preprocessing, token ids of ``PROBE_TEXTS``.
        arrays: the weights; about one second a gigabyte.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, ensure_ascii=True).encode())
    for name, array in sorted(arrays, key=lambda pair: pair[0]):
        digest.update(f"{name}:{array.shape}:{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def weights_of(
    module: nn.Module, own: Callable[[str], bool] | None = None
) -> list[tuple[str, npt.NDArray[Any]]]:
    """Parameters and persistent buffers of a module, only the names for which ``own`` is true."""
    state = module.state_dict()
    return [(name, tensor.cpu().numpy()) for name, tensor in state.items() if own is None or own(name)]
