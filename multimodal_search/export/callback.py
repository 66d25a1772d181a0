"""The Lightning callback that puts the trained heads beside the checkpoints when a fit ends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from multimodal_search.projectors.bundle import save_projectors
from multimodal_search.projectors.heads import Projector
from multimodal_search.types import Modality


class WriteHeads(Callback):
    """Write ``<modality>_projector.pt`` at the end of a fit, from the first process only.

    ``write_bundle`` writes them again from the checkpoint that was chosen; these are there for a person who
    drives Lightning's trainer without the rest of this package.

    Args:
        folder: where to; it exists.

    The module offers ``projectors``, a mapping of modality to head.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning calls this once, after the last epoch or an early stop.

        Raises:
            OutputError: the folder cannot be written.
        """
        if not trainer.is_global_zero:
            return
        save_projectors(self.folder, cast(Mapping[Modality, Projector], pl_module.projectors))
