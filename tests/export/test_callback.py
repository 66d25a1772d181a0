"""The callback that leaves heads behind when Lightning's own trainer is driven by hand."""

from __future__ import annotations

import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from multimodal_search.export.callback import WriteHeads
from multimodal_search.projectors.heads import HeadSpec, Projector
from multimodal_search.types import Modality


class _Module(LightningModule):
    def __init__(self):
        super().__init__()
        self.head = Projector(HeadSpec("linear", 3, 2))

    @property
    def projectors(self):
        return {Modality.TEXT: self.head}

    def training_step(self, batch, _index):
        return self.head(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_heads_are_there_when_the_fit_ends(tmp_path):
    torch.manual_seed(0)
    module = _Module()
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        callbacks=[WriteHeads(tmp_path)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(torch.randn(4, 3), batch_size=2))
    state = torch.load(tmp_path / "text_projector.pt", weights_only=True)
    assert torch.equal(state["linear.weight"], module.head.linear.weight.detach())
