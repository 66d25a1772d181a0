"""A query as a weighted list of parts: phrases, pictures, signals, moments that are known, plain vectors."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from multimodal_search.errors import DataError, SettingsError
from multimodal_search.types import FloatArray, Modality

PartKind = Literal["text", "image", "series", "id", "vector"]
Weights = Mapping[str, float | Sequence[float]]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a query; a negative weight leads away from it."""

    kind: PartKind
    value: Any
    weight: float = 1.0

    @property
    def modality(self) -> Modality:
        """Whose encoder takes it: of words, a picture or a signal."""
        return Modality.TIMESERIES if self.kind == "series" else Modality(self.kind)


def parts_of(asked: Mapping[PartKind, Any], weights: Weights | None = None) -> list[Part]:
    """The parts of a query, in order.

    Args:
        asked: kind -> a value, a pair (value, weight), or a list of either; None is left out.
        weights: kind -> a factor for all its parts, or one for each.

    Raises:
        SettingsError: no part; weights that mean nothing, or are all zero.
        DataError: an empty text.
    """
    given = {kind: _several(kind, value) for kind, value in asked.items() if value is not None}
    if not given:
        raise SettingsError(
            "Nothing to search for.",
            remedy="give text, an image, a series, an id, a vector, or several of them",
        )
    for kind, found in given.items():
        if not found:
            raise DataError(f"The query {kind} is empty.", remedy="leave it out, or give a value")
    parts = _weighed(given, weights or {})
    if not all(math.isfinite(one.weight) for one in parts) or not any(one.weight for one in parts):
        raise SettingsError(
            f"The weights must be numbers that are not all zero, not {[one.weight for one in parts]}."
        )
    return parts


def combined(vectors: Sequence[FloatArray], parts: Sequence[Part], *, unit: bool) -> FloatArray:
    """(dim,) float64: the weighted sum of the parts' vectors.

    Args:
        vectors: (dim,) one a part.
        unit: every part is brought to length one first, and so is the sum: directions are compared.

    Raises:
        DataError: a zero vector, one that is not finite, or parts that cancel.
    """
    if unit:
        vectors = [direction(one) for one in vectors]
    total = np.zeros(len(vectors[0]), dtype=np.float64)
    for vector, part in zip(vectors, parts, strict=True):
        total += part.weight * np.asarray(vector, dtype=np.float64)
    if unit:
        return direction(total)
    if not np.isfinite(total).all():
        raise DataError("The query vector holds NaN or infinity.", remedy="ask with another moment")
    return total


def direction(vector: FloatArray) -> FloatArray:
    """The vector at length one.

    Raises:
        DataError: it has none.
    """
    wide = np.asarray(vector, dtype=np.float64)
    length = float(np.linalg.norm(wide))
    # parts that cancel leave their rounding behind
    if not math.isfinite(length) or length < 1e-12:
        raise DataError("The query has no direction: its parts cancel, or its encoder found nothing in it.")
    return wide / length


def plain_vector(value: Any, dim: int) -> FloatArray:
    """(dim,) float64 of an array, a list, or a ``.npy`` file with one vector.

    Raises:
        DataError: it cannot be read, has another length, NaN or only zeros.
    """
    where = value if isinstance(value, str | Path) else None
    array = _read(Path(value).expanduser()) if isinstance(value, str | Path) else np.asarray(value)
    if array.dtype.kind not in "fiu" or array.size == 0 or array.ndim not in (1, 2):
        raise DataError(f"An array of {array.dtype} {array.shape} is no vector.", where=where)
    if array.ndim == 2 and array.shape[0] != 1:
        raise DataError(
            f"An array of shape {array.shape} holds {array.shape[0]} vectors.",
            where=where,
            remedy="give one vector a file; several files are several parts of the query",
        )
    vector = array.reshape(-1).astype(np.float64)
    if len(vector) != dim:
        raise DataError(
            f"The query vector has {len(vector)} numbers; the vectors here have {dim}.",
            where=where,
            remedy="ask with a vector of the encoder (and projector) that made them",
        )
    if not np.isfinite(vector).all():
        raise DataError("The query vector holds NaN or infinity.", where=where)
    if not vector.any():
        raise DataError("The query vector is all zeros: it has no direction.", where=where)
    return vector


def _read(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DataError("There is no such file.", where=path, remedy="give a .npy file") from None
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"This is no .npy file that can be read: {error}.", where=path) from error


def _several(kind: PartKind, given: Any) -> list[Part]:
    if _is_pair(given):
        return [Part(kind, given[0], float(given[1]))]
    if not isinstance(given, list | tuple) or _is_one_array(kind, given):
        return [Part(kind, given)]
    return [Part(kind, one[0], float(one[1])) if _is_pair(one) else Part(kind, one) for one in given]


def _is_pair(given: Any) -> bool:
    if not isinstance(given, tuple) or len(given) != 2:
        return False
    return _is_number(given[1]) and not _is_number(given[0])


def _is_one_array(kind: PartKind, given: Sequence[Any]) -> bool:
    """Lists of numbers are one vector, and lists of lists of numbers are one signal."""
    if kind == "vector":
        return all(map(_is_number, given)) and bool(given)
    if kind == "series":
        rows = [one for one in given if isinstance(one, list | tuple) and not _is_pair(one)]
        return bool(rows) and len(rows) == len(given) and all(_is_number(one) for row in rows for one in row)
    return False


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _weighed(given: Mapping[PartKind, list[Part]], weights: Weights) -> list[Part]:
    if wrong := [name for name in weights if name not in given]:
        raise SettingsError(
            f"A weight for {wrong[0]!r}, which is not part of this query ({', '.join(given)})."
        )
    out = []
    for kind, parts in given.items():
        factors = weights.get(kind, 1.0)
        each = list(factors) if isinstance(factors, Sequence) else [factors] * len(parts)
        if len(each) != len(parts):
            raise SettingsError(
                f"{len(each)} weights for {len(parts)} parts of {kind}.", remedy="give one, or one a part"
            )
        out += [Part(kind, one.value, one.weight * float(by)) for one, by in zip(parts, each, strict=True)]
    return out
