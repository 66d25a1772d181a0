"""Where queries are encoded."""

from __future__ import annotations

from multimodal_search.errors import SettingsError


def resolve_device(device: str) -> str:
    """``cpu`` or ``cuda``; ``auto`` is the latter where there is one.

    Raises:
        SettingsError: an unknown name, or ``cuda`` without a CUDA device.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise SettingsError(f"Unknown device {device!r}.", remedy="use auto, cpu or cuda")
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError(
            "--device cuda, but this machine shows no CUDA device to torch.", remedy="use --device cpu"
        )
    return device
