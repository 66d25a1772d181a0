"""Options that image encoders of several families share: way to resize, size, patch grid."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args

from multimodal_search.errors import EncoderError, nearest

Resize = Literal["crop", "pad", "squash"]
"""A picture of another shape is cut, gets black borders, or is distorted."""

WITH_GRIDS = "sample/vit, open_clip/ViT-* (such as ViT-B-32, ViT-B-16, ViT-L-14) and hf/ vision transformers"
"""Who has patch tokens, for messages."""


def check_known(name: str, options: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse an option that the family does not have.

    Raises:
        EncoderError: naming the nearest.
    """
    unknown = sorted(set(options) - set(known))
    if unknown:
        hint = nearest(unknown[0], sorted(known)) if known else "it has none"
        raise EncoderError(f"{name} has no option {unknown[0]!r}: {hint}", remedy="leave it out")


def resize_option(name: str, options: Mapping[str, Any], own: str | None) -> dict[str, Any]:
    """``{"resize": ...}`` where it is not the model's own way.

    Raises:
        EncoderError: unknown.
    """
    wanted = options.get("resize")
    if wanted is not None and wanted not in get_args(Resize):
        raise EncoderError(
            f"{name} has no way {wanted!r} to resize: {nearest(str(wanted), get_args(Resize))}"
        )
    return {} if wanted in (None, own) else {"resize": wanted}


def image_size_option(
    name: str, options: Mapping[str, Any], own: tuple[int, int] | None, patch_px: int | None
) -> dict[str, Any]:
    """``{"image_size": side}`` where it is not the model's own.

    Args:
        own: (height, width) that the model was trained with.
        patch_px: side of a patch; None where the model takes no other size than its own.

    Raises:
        EncoderError: the model takes no other size, or no whole number of patches fits.
    """
    side = options.get("image_size")
    if side is None or own == (side, side):
        return {}
    if patch_px is None:
        raise EncoderError(f"{name} takes pictures of {_sized(own)} only", remedy="leave the image size out")
    if not isinstance(side, int) or side < patch_px or side % patch_px:
        down, up = max(1, int(side) // patch_px) * patch_px, -(-int(side) // patch_px) * patch_px
        raise EncoderError(
            f"{name} has patches of {patch_px} px, of which {side} px is no multiple",
            remedy=f"{down} or {up}",
        )
    return {"image_size": side}


def grid_option(
    name: str, options: Mapping[str, Any], shape: tuple[int, int], patch_px: int | None
) -> dict[str, Any]:
    """``{"grid": [rows, columns]}``; the patches themselves where none is asked for.

    Args:
        shape: (rows, columns) of the model's patches.
        patch_px: side of a patch, where the model takes other sizes of pictures.

    Raises:
        EncoderError: the grid does not divide the patches.
    """
    target = tuple(options.get("grid") or shape)
    if len(target) != 2 or min(target) < 1:
        raise EncoderError(f"{name}: a grid is (rows, columns), not {target!r}")
    if shape[0] % target[0] or shape[1] % target[1]:
        remedy = "rows and columns that divide it"
        if patch_px is not None and target[0] == target[1]:
            remedy += f"; or the image size {target[0] * patch_px}, of {target[0]}x{target[1]} patches"
        raise EncoderError(
            f"{name} has a grid of {shape[0]}x{shape[1]} patches, "
            f"which {target[0]}x{target[1]} does not divide",
            remedy=remedy,
        )
    return {"grid": [int(side) for side in target]}


def _sized(size_px: tuple[int, int] | None) -> str:
    return "its own size" if size_px is None else f"{size_px[1]} x {size_px[0]} px"
