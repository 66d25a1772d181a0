"""The LightningDataModule over the feature table: no worker, no copy, the same batches whenever asked."""

from __future__ import annotations

from collections.abc import Iterator

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from multimodal_search.splits import Splits
from multimodal_search.training.batches import Batch, BatchPlan
from multimodal_search.training.retrieval import RetrievalSet, retrieval_set
from multimodal_search.types import MomentFeatures


class MomentsDataModule(L.LightningDataModule):
    """Training batches out of the training scenes, one retrieval set out of the inner validation scenes.

    Args:
        features: all items; the splits choose.
        batch_items: items a step, at most; None: all scenes, two moments each.
        seed: of the batches.
    """

    def __init__(
        self, features: MomentFeatures, splits: Splits, *, batch_items: int | None, seed: int
    ) -> None:
        super().__init__()
        self.plan = BatchPlan(features.select(splits.train), batch_items=batch_items, seed=seed)
        self.validation = retrieval_set(features.select(splits.val))

    def train_dataloader(self) -> DataLoader[Batch]:
        """Whole batches, in order of (epoch, step)."""
        world, rank = 1, 0
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            world, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
        batches = _Batches(self.plan, rank, world)
        return DataLoader(batches, batch_size=None, sampler=EpochSteps(self.plan.steps))

    def val_dataloader(self) -> DataLoader[RetrievalSet] | list[DataLoader[RetrievalSet]]:
        """One batch: every process measures all of it; nothing where no scene is held out."""
        if self.validation.scenes < 2:
            return []
        return DataLoader(_One(self.validation), batch_size=None)


class EpochSteps(Sampler[tuple[int, int]]):
    """(epoch, step) for each step; Lightning sets the epoch, also when it resumes."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((self.epoch, step) for step in range(self.steps))

    def __len__(self) -> int:
        return self.steps


class _Batches(Dataset[Batch]):
    def __init__(self, plan: BatchPlan, rank: int, world: int) -> None:
        self.plan, self.rank, self.world = plan, rank, world

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        return self.plan.batch(*key, self.rank, self.world)

    def __len__(self) -> int:
        return self.plan.steps


class _One(Dataset[RetrievalSet]):
    def __init__(self, data: RetrievalSet) -> None:
        self.data = data

    def __getitem__(self, key: int) -> RetrievalSet:
        if key > 0:
            raise IndexError(key)
        return self.data

    def __len__(self) -> int:
        return 1
