"""Conditions on metadata (``location == 'tokyo' and speed_max > 10``): parsed, evaluated on columns."""

from __future__ import annotations

from multimodal_search.filters.ast import (
    And,
    Compare,
    Contains,
    Filter,
    In,
    Not,
    Operator,
    Or,
    all_of,
    normal,
)
from multimodal_search.filters.fields import Fields, Scalar, flatten
from multimodal_search.filters.parser import parse
from multimodal_search.types import BoolArray

__all__ = [
    "And",
    "BoolArray",
    "Compare",
    "Contains",
    "Fields",
    "Filter",
    "In",
    "Not",
    "Operator",
    "Or",
    "Scalar",
    "all_of",
    "flatten",
    "normal",
    "parse",
]
