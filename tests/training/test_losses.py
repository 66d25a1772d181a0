"""Each loss against a slow loop over rows, and one process against two."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from multimodal_search.training.losses import infonce, sigmoid


def _slow_infonce(logits: Tensor, positives: Tensor, ignored: Tensor) -> float:
    """Mean over both directions of the cross-entropy against the uniform target over a row's positives."""
    directions = []
    for one, yes, skip in ((logits, positives, ignored), (logits.T, positives.T, ignored.T)):
        rows = []
        for i in range(len(one)):
            hits = [j for j in range(one.shape[1]) if yes[i, j]]
            if not hits:
                continue
            total = sum(math.exp(float(one[i, j])) for j in range(one.shape[1]) if not skip[i, j])
            rows.append(-sum(math.log(math.exp(float(one[i, j])) / total) for j in hits) / len(hits))
        directions.append(sum(rows) / len(rows) if rows else 0.0)
    return sum(directions) / 2


def _slow_sigmoid(logits: Tensor, positives: Tensor, ignored: Tensor) -> float:
    rows = [i for i in range(len(logits)) if positives[i].any()]
    columns = [j for j in range(logits.shape[1]) if positives[:, j].any()]
    total = 0.0
    for i in rows:
        for j in columns:
            if not ignored[i, j]:
                sign = 1 if positives[i, j] else -1
                total += math.log(1 + math.exp(-sign * float(logits[i, j])))
    return total / max(1, len(rows))


def _case(name: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    n, m = (2, 2) if name == "two" else (5, 4)
    one = torch.nn.functional.normalize(torch.randn(n, 3, generator=generator, dtype=torch.float64), dim=1)
    two = torch.nn.functional.normalize(torch.randn(m, 3, generator=generator, dtype=torch.float64), dim=1)
    positives, ignored = torch.eye(n, m, dtype=torch.bool), torch.zeros(n, m, dtype=torch.bool)
    if name in ("many positives", "ignored"):
        positives[0, 1] = positives[4, 1] = positives[4, 3] = True
    if name == "ignored":
        ignored[0, 2] = ignored[1, 3] = ignored[3, 0] = ignored[3, 1] = ignored[3, 2] = True
    if name == "missing":
        positives[2, 2] = False
        ignored[4] = True
    return one.requires_grad_(), two.requires_grad_(), positives, ignored


CASES = ["one positive", "many positives", "ignored", "missing", "two"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("swapped", [False, True])
def test_losses_equal_the_slow_loops(name: str, swapped: bool) -> None:
    one, two, positives, ignored = _case(name)
    if swapped:
        one, two, positives, ignored = two, one, positives.T, ignored.T
    scale, bias = torch.tensor(7.0, dtype=torch.float64), torch.tensor(-2.0, dtype=torch.float64)
    logits = 7.0 * (one @ two.T).detach()
    found = infonce(one, two, scale, positives, ignored)
    assert float(found.detach()) == pytest.approx(_slow_infonce(logits, positives, ignored), rel=1e-9)
    other = sigmoid(one, two, scale, bias, positives, ignored)
    assert float(other.detach()) == pytest.approx(_slow_sigmoid(logits - 2.0, positives, ignored), rel=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_right(name: str) -> None:
    one, two, positives, ignored = _case(name)
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(-1.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b, s: infonce(a, b, s, positives, ignored), (one, two, scale))
    assert torch.autograd.gradcheck(
        lambda a, b, s, c: sigmoid(a, b, s, c, positives, ignored), (one, two, scale, bias)
    )


@pytest.mark.parametrize(("n", "m"), [(3, 2), (0, 2), (3, 0), (0, 0)])
def test_without_any_pair_the_loss_is_a_connected_zero(n: int, m: int) -> None:
    one, two = torch.randn(n, 4, requires_grad=True), torch.randn(m, 4, requires_grad=True)
    scale = torch.tensor(5.0, requires_grad=True)
    nothing = torch.zeros(n, m, dtype=torch.bool)
    for loss in (
        infonce(one, two, scale, nothing, nothing),
        infonce(one, two, scale, nothing, ~nothing),
        sigmoid(one, two, scale, torch.tensor(0.0), nothing, nothing),
    ):
        assert loss.item() == 0
        for gradient in torch.autograd.grad(loss, [one, two, scale], retain_graph=True, allow_unused=False):
            assert torch.equal(gradient, torch.zeros_like(gradient))


def test_ignored_pairs_get_no_gradient() -> None:
    one = torch.eye(3, requires_grad=True)
    two = torch.eye(3, requires_grad=True)
    ignored = torch.zeros(3, 3, dtype=torch.bool)
    ignored[0, 1] = True
    infonce(one, two, torch.tensor(1.0), torch.eye(3, dtype=torch.bool), ignored).backward()
    assert one.grad is not None
    assert one.grad[0, 1] == 0
    assert one.grad[0, 2] > 0


_WORKER = """
import sys, torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from multimodal_search.projectors.heads import HeadSpec, Projector
from multimodal_search.training.batches import BatchPlan
from multimodal_search.training.module import AlignmentModule, Objective
from multimodal_search.types import EncoderCard, FeatureSet, Item, Modality, MomentFeatures
import numpy as np

rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/meet-{world}", rank=rank, world_size=world)
rng = np.random.default_rng(0)
items = tuple(Item(f"{i}", f"s{i // 2}", timestamp_us=i * 10**7) for i in range(14))
sets = {}
rows_of = {"image": np.arange(14), "text": np.arange(14) // 2, "timeseries": np.arange(13)}
for dim, (name, rows) in zip((6, 5, 4), rows_of.items()):
    vectors = rng.normal(size=(14, dim)).astype(np.float32)
    card = EncoderCard("x/y", "none", Modality(name), dim)
    ids = tuple(map(str, range(14)))
    sets[Modality(name)] = FeatureSet(vectors, ids, np.arange(len(rows)), rows, card, "")
plan = BatchPlan(MomentFeatures(items, sets), batch_items=None, seed=0)
torch.manual_seed(0)
heads = {m: Projector(HeadSpec("linear", s.card.dim, 4)) for m, s in sets.items()}

class Step(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = AlignmentModule(heads, Objective(1e-3, 10, largest_scale=50.0))
    def forward(self, batch):
        return self.inner.loss(batch)

step = Step()
model = DistributedDataParallel(step)
loss = model(plan.batch(0, 1, rank, world))
loss.backward()
if rank == 0:
    gradients = {name: parameter.grad for name, parameter in step.named_parameters()}
    torch.save({"loss": loss.detach(), **gradients}, f"{folder}/{world}.pt")
del model  # its threads end before the group's: without this a process that leaves first can abort
dist.barrier()
dist.destroy_process_group()
"""


def _run_processes(world: int, folder: Path) -> dict[str, Tensor]:
    commands = [[sys.executable, "-c", _WORKER, str(rank), str(world), str(folder)] for rank in range(world)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    for process in processes:
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors
    loaded: dict[str, Tensor] = torch.load(folder / f"{world}.pt", weights_only=True)
    return loaded


@pytest.mark.slow
def test_two_processes_give_the_loss_and_gradients_of_one(tmp_path: Path) -> None:
    one, two = _run_processes(1, tmp_path), _run_processes(2, tmp_path)
    assert set(one) == set(two)
    assert any(float(value.abs().max()) > 1e-3 for name, value in one.items() if name != "loss")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-6, msg=name)
