"""``bundle.json`` and the projectors' ``.pt`` files: written whole, read with every mismatch named."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from multimodal_search.errors import BundleError
from multimodal_search.projectors.heads import HeadSpec, Projector
from multimodal_search.storage import write_atomically
from multimodal_search.types import EncoderCard, Modality

FORMAT_VERSION = 1
INFO_FILE = "bundle.json"
_TRAIN_AGAIN = "train again into this folder; training writes bundle.json last, when all else is there"


class BundleEncoder(NamedTuple):
    """The frozen encoder whose vectors a head takes."""

    card: EncoderCard
    fingerprint: str

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return {"card": self.card.to_json(), "fingerprint": self.fingerprint}


@dataclass(frozen=True, slots=True)
class BundleInfo:
    """What ``bundle.json`` holds.

    Attributes:
        encoders: the encoder of each modality; one whose card or fingerprint differs is refused.
        heads: the shape of each modality's projector.
        logit_scales: ``image-text`` -> scale (not its logarithm).
        data: kind, root, n_items, n_scenes, licence, modalities, failures and what else describes the data.
        created: ISO 8601, UTC; empty where reproducible files matter more.
        versions: package -> version.
        licence: of the bundle: it follows the data's and the encoders'.
        notes: what a reader must know.
    """

    encoders: Mapping[Modality, BundleEncoder]
    heads: Mapping[Modality, HeadSpec]
    logit_scales: Mapping[str, float] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    created: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    licence: str = "unknown"
    notes: tuple[str, ...] = ()
    format_version: int = FORMAT_VERSION

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping; ``from_json`` reads it back."""
        return {
            "format_version": self.format_version,
            "encoders": {key.value: one.to_json() for key, one in self.encoders.items()},
            "heads": {key.value: one.to_json() for key, one in self.heads.items()},
            "logit_scales": dict(self.logit_scales),
            "data": dict(self.data),
            "created": self.created,
            "versions": dict(self.versions),
            "licence": self.licence,
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BundleInfo:
        """Raises KeyError, TypeError or ValueError where something is missing or not what it should be."""
        encoders = {
            Modality(key): BundleEncoder(EncoderCard.from_json(one["card"]), str(one["fingerprint"]))
            for key, one in data["encoders"].items()
        }
        heads = {Modality(key): HeadSpec.from_json(one) for key, one in data["heads"].items()}
        if set(encoders) != set(heads):
            raise ValueError("encoders and heads are not of the same modalities")
        return cls(
            encoders,
            heads,
            {str(key): float(value) for key, value in data.get("logit_scales", {}).items()},
            dict(data.get("data", {})),
            str(data.get("created", "")),
            dict(data.get("versions", {})),
            str(data.get("licence", "unknown")),
            tuple(data.get("notes", ())),
            int(data["format_version"]),
        )


def projector_file(modality: Modality) -> str:
    """The file of one head, for example ``text_projector.pt``."""
    return f"{modality.value}_projector.pt"


def write_bundle_info(folder: Path, info: BundleInfo) -> Path:
    """Write ``bundle.json``; call it last, since its presence says that the bundle is whole.

    Raises:
        OutputError: the folder cannot be written.
    """
    path = Path(folder) / INFO_FILE
    with write_atomically(path, "w") as file:
        json.dump(info.to_json(), file, ensure_ascii=False, indent=2)
        file.write("\n")
    return path


def read_bundle_info(folder: Path) -> BundleInfo:
    """Read ``bundle.json``.

    Raises:
        BundleError: it is absent, not JSON, incomplete, or of a later format.
    """
    path = Path(folder) / INFO_FILE
    if not path.is_file():
        there = "is not there" if not Path(folder).exists() else "holds no finished bundle"
        raise BundleError(
            f"The bundle folder {there}", where=path, remedy="give the folder that training wrote to"
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"bundle.json is not JSON: {error}", where=path, remedy=_TRAIN_AGAIN) from error
    version = data.get("format_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise BundleError(
            f"The bundle has format {version} and this version reads up to {FORMAT_VERSION}",
            where=path,
            remedy="pip install --upgrade multimodal-search",
        )
    try:
        return BundleInfo.from_json(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"bundle.json is incomplete: {error!r}", where=path, remedy=_TRAIN_AGAIN) from error


def save_projectors(folder: Path, projectors: Mapping[Modality, Projector]) -> list[Path]:
    """Write ``<modality>_projector.pt``, a plain state_dict each; the same weights give the same bytes.

    Raises:
        OutputError: the folder cannot be written.
    """
    paths = []
    for modality, projector in projectors.items():
        path = Path(folder) / projector_file(modality)
        with write_atomically(path) as file:
            file.write(_state_bytes(projector))
        paths.append(path)
    return paths


def load_projectors(folder: Path, info: BundleInfo, device: str = "cpu") -> dict[Modality, Projector]:
    """The heads of a bundle, in evaluation mode and without gradients.

    Raises:
        BundleError: a file is absent, unreadable, or does not fit the shapes in ``bundle.json``.
    """
    return {modality: _load(Path(folder), modality, spec, device) for modality, spec in info.heads.items()}


def _state_bytes(projector: Projector) -> bytes:
    """Through memory: torch names the archive after the file, so two paths would give two different files."""
    state = {
        name: value.detach().cpu().contiguous().clone() for name, value in projector.state_dict().items()
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _load(folder: Path, modality: Modality, spec: HeadSpec, device: str) -> Projector:
    path = folder / projector_file(modality)
    if not path.is_file():
        raise BundleError(f"The {modality.value} projector is missing", where=path, remedy=_TRAIN_AGAIN)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise BundleError(
            f"The {modality.value} projector cannot be read: {error}", where=path, remedy=_TRAIN_AGAIN
        ) from error
    projector = Projector(spec)
    expected = {name: tuple(value.shape) for name, value in projector.state_dict().items()}
    found = (
        {name: tuple(value.shape) for name, value in state.items() if isinstance(value, torch.Tensor)}
        if isinstance(state, dict)
        else {}
    )
    if expected != found:
        raise BundleError(
            f"The {modality.value} projector is not the one of bundle.json: "
            f"expected {expected}, found {found}",
            where=path,
            remedy="copy the whole bundle folder, or " + _TRAIN_AGAIN,
        )
    projector.load_state_dict(state)
    return projector.requires_grad_(False).eval().to(device)
