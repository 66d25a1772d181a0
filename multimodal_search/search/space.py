"""A bundle's common space: what a person asks becomes a vector in it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from multimodal_search import encoders
from multimodal_search.encoders.base import FrozenEncoder
from multimodal_search.errors import DataError, SettingsError, SkipInput
from multimodal_search.projectors.bundle import BundleInfo
from multimodal_search.projectors.heads import Projector
from multimodal_search.search import queries
from multimodal_search.search.parts import Part
from multimodal_search.types import FloatArray, Modality


class CommonSpace:
    """Encoders, loaded when they are first asked, and heads.

    Attributes:
        dim: length of its vectors.
    """

    def __init__(
        self, folder: Path, info: BundleInfo, projectors: Mapping[Modality, Projector], device: str
    ) -> None:
        self._folder = folder
        self._info = info
        self._projectors = projectors
        self._device = device
        self._encoders: dict[Modality, FrozenEncoder] = {}
        self._loading = threading.Lock()
        self.dim = next(iter(info.heads.values())).out_dim

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the encoders' fingerprints and the heads' weights."""
        digest = hashlib.sha256()
        for modality, known in sorted(self._info.encoders.items()):
            digest.update(f"{modality.value}:{known.fingerprint};".encode())
            for name, values in sorted(self._projectors[modality].state_dict().items()):
                digest.update(name.encode())
                digest.update(values.cpu().numpy().tobytes())
        return digest.hexdigest()

    def vector(self, part: Part) -> FloatArray:
        """(dim,) of length one: words, a picture or a signal.

        Raises:
            SettingsError: the bundle was made without this modality.
            DataError: the part cannot be used.
            EncoderError: the encoder cannot be loaded, or is not the one that made the bundle.
        """
        modality, ready = self.ready(part)
        return self.vectors(modality, [ready]).reshape(-1)

    def ready(self, part: Part) -> tuple[Modality, Any]:
        """A part read and preprocessed, for ``vectors``; thread-safe.

        Raises:
            SettingsError, DataError, EncoderError: as ``vector``.
        """
        modality = part.modality
        if modality not in self._info.encoders:
            raise SettingsError(
                f"The bundle was made without {modality.value}, so that it cannot be asked with {part.kind}.",
                where=self._folder,
                remedy="it takes: " + ", ".join(one.value for one in self._info.encoders),
            )
        raw = queries.read(modality, part.value, self._info.encoders[modality].card)
        encoder = self._encoder(modality)
        try:
            ready = encoder.preprocess(raw)
        except SkipInput as skip:
            raise DataError(f"The query {part.kind} cannot be used: {skip.reason}.") from skip
        return modality, ready

    def vectors(self, modality: Modality, ready: Sequence[Any]) -> FloatArray:
        """(n, dim) of length one: what ``ready`` gave, several at once."""
        return self._projectors[modality].project(self._encoder(modality).embed(ready))

    def as_query(self, modality: Modality, vector: FloatArray) -> FloatArray:
        """(dim,) of length one: a vector of this space, ready to find others of its own modality."""
        return self._projectors[modality].as_query(vector.reshape(1, -1)).reshape(-1)

    def _encoder(self, modality: Modality) -> FrozenEncoder:
        with self._loading:  # once, whoever asks first
            if modality not in self._encoders:
                known = self._info.encoders[modality]
                encoder = encoders.build_from_card(known.card, self._device)
                encoders.verify(encoder, known.fingerprint, self._folder)
                self._encoders[modality] = encoder
            return self._encoders[modality]
