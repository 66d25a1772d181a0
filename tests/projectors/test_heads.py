"""The heads: what they start as, what they keep, and that nothing makes them NaN."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from multimodal_search.projectors.heads import HeadSpec, Projector

SPECS = [HeadSpec("residual", 6, 6), HeadSpec("linear", 6, 4), HeadSpec("linear", 6, 4, likeness=True)]


@pytest.mark.parametrize("spec", SPECS)
def test_rows_have_length_one(spec: HeadSpec) -> None:
    torch.manual_seed(0)
    out = Projector(spec)(torch.randn(5, 6))
    assert out.shape == (5, spec.out_dim)
    torch.testing.assert_close(out.norm(dim=1), torch.ones(5))


def test_a_residual_head_starts_as_the_encoder_itself_whatever_the_statistics() -> None:
    torch.manual_seed(0)
    x = torch.randn(7, 6)
    head = Projector(HeadSpec("residual", 6, 6), np.full(6, 0.3), np.full(6, 0.01))
    assert torch.equal(head(x), torch.nn.functional.normalize(x, dim=1))
    assert head.departure().item() == 0


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("x", [torch.zeros(2, 6), torch.ones(2, 6), torch.full((2, 6), 1e9)])
def test_zero_constant_and_huge_inputs_are_never_nan_nor_are_their_gradients(
    spec: HeadSpec, x: torch.Tensor
) -> None:
    head = Projector(spec, x[0].numpy(), np.zeros(6))
    out = head(x)
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


def test_a_closed_form_becomes_the_head() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 6)) * [1, 10, 100, 1, 1, 1] + 5
    weight, bias = rng.normal(size=(6, 3)), rng.normal(size=3)
    head = Projector(HeadSpec("linear", 6, 4), x.mean(axis=0), x.std(axis=0))
    head.set_linear(weight, bias)
    expected = x @ weight + bias
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(head.project(x), np.hstack([expected, np.zeros((20, 1))]), atol=1e-5)


def test_projecting_in_chunks_or_from_half_precision_gives_the_same_rows() -> None:
    torch.manual_seed(0)
    head = Projector(HeadSpec("linear", 6, 4))
    x = np.random.default_rng(0).normal(size=(11, 6)).astype(np.float16)
    np.testing.assert_allclose(head.project(x, chunk_rows=3), head.project(x.astype(np.float32)), atol=1e-6)
    assert head.project(x[:0]).shape == (0, 4)


def test_likeness_changes_queries_and_nothing_that_is_found() -> None:
    torch.manual_seed(0)
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    head = Projector(HeadSpec("linear", 6, 4, likeness=True))
    found = head.project(x)
    np.testing.assert_allclose(head.as_query(found), found, atol=1e-6)
    matrix = np.diag([4.0, 1.0, 1.0, 0.25])
    head.set_likeness(matrix)
    np.testing.assert_array_equal(head.project(x), found)
    expected = found @ matrix / np.linalg.norm(found @ matrix, axis=1, keepdims=True)
    np.testing.assert_allclose(head.as_query(found), expected, atol=1e-6)
    plain = Projector(HeadSpec("linear", 6, 4))
    np.testing.assert_array_equal(plain.as_query(found), found)


def test_a_spec_from_before_likeness_is_read() -> None:
    assert HeadSpec.from_json({"kind": "linear", "in_dim": 6, "out_dim": 4}) == SPECS[1]


@pytest.mark.parametrize("spec", SPECS)
def test_a_spec_survives_json(spec: HeadSpec) -> None:
    assert HeadSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "transformer", "in_dim": 2, "out_dim": 2},
        {"kind": "residual", "in_dim": 2, "out_dim": 3},
        {"kind": "linear", "in_dim": 0, "out_dim": 3},
    ],
)
def test_impossible_specs_are_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"head|kind"):
        HeadSpec.from_json(data)
