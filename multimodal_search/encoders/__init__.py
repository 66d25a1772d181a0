"""Frozen encoders: cards without weights, models from cards. Importing this brings no torch."""

from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.encoders.registry import build, build_from_card, card, default_encoders, verify

__all__ = ["FrozenEncoder", "build", "build_from_card", "card", "default_encoders", "verify"]
