"""Pooling against slow loops."""

from __future__ import annotations

import pytest
import torch

from multimodal_search.encoders import pooling


def test_grid_averages_14x14_to_7x7() -> None:
    torch.manual_seed(0)
    patches = torch.randn(2, 14 * 14, 5)
    pooled = pooling.grid(patches, (14, 14), (7, 7)).reshape(2, 7, 7, 5)
    plane = patches.reshape(2, 14, 14, 5)
    for row in range(7):
        for column in range(7):
            cell = plane[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].mean(dim=(1, 2))
            torch.testing.assert_close(pooled[:, row, column], cell)


def test_grid_keeps_rows_and_columns_apart() -> None:
    patches = torch.arange(6.0).reshape(1, 6, 1)
    assert pooling.grid(patches, (2, 3), (2, 3)) is patches
    assert pooling.grid(patches, (2, 3), (2, 1)).flatten().tolist() == [1.0, 4.0]
    with pytest.raises(ValueError, match="2x3"):
        pooling.grid(patches, (2, 3), (2, 2))


def test_masked_mean_leaves_padding_out() -> None:
    tokens = torch.tensor([[[1.0], [3.0], [100.0]], [[5.0], [100.0], [100.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    assert pooling.masked_mean(tokens, mask).flatten().tolist() == [2.0, 5.0]


def test_cls_and_mean() -> None:
    tokens = torch.tensor([[[1.0], [3.0], [5.0]]])
    assert pooling.cls(tokens).tolist() == [[1.0]]
    assert pooling.mean(tokens[:, 1:]).tolist() == [[4.0]]
