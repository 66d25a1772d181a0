"""What changes a fingerprint and what does not."""

from __future__ import annotations

import numpy as np
import torch

from multimodal_search.encoders.fingerprint import fingerprint, weights_of


def test_order_and_layout_in_memory_do_not_matter() -> None:
    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    pairs = [("a", table), ("b", np.ones(2))]
    assert fingerprint({"x": 1, "y": 2}, pairs) == fingerprint({"y": 2, "x": 1}, reversed(pairs))
    assert fingerprint({}, [("a", table)]) == fingerprint({}, [("a", np.asfortranarray(table))])


def test_settings_names_shapes_types_and_one_bit_matter() -> None:
    table = np.zeros((2, 3), dtype=np.float32)
    changed = table.copy()
    changed[1, 2] = np.float32(1e-45)
    variants = [
        fingerprint({"pool": "cls"}, [("a", table)]),
        fingerprint({"pool": "mean"}, [("a", table)]),
        fingerprint({"pool": "cls"}, [("b", table)]),
        fingerprint({"pool": "cls"}, [("a", table.reshape(3, 2))]),
        fingerprint({"pool": "cls"}, [("a", table.astype(np.float64))]),
        fingerprint({"pool": "cls"}, [("a", changed)]),
    ]
    assert len(set(variants)) == len(variants)


def test_only_own_weights_count() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    assert {name for name, _ in weights_of(module, lambda name: name.startswith("1."))} == {
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
    }
    scalars = [pair for pair in weights_of(module) if pair[1].ndim == 0]
    assert fingerprint({}, scalars)
