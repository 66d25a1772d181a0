"""Messages say what, where, and the way out."""

from __future__ import annotations

import pickle

import pytest

from multimodal_search.errors import DataError, MissingDependencyError, SkipInput, nearest, require


def test_message_has_the_three_parts() -> None:
    error = DataError("No scenes.", where="/data/x.json", remedy="add one")
    assert str(error).splitlines() == ["No scenes.", "  where: /data/x.json", "  to do: add one"]


def test_errors_cross_processes() -> None:
    """Worker processes hand their errors over pickled."""
    error = pickle.loads(pickle.dumps(DataError("No scenes.", where="a", remedy="b")))
    assert (type(error), error.what, error.where, error.remedy) == (DataError, "No scenes.", "a", "b")

    skip = pickle.loads(pickle.dumps(SkipInput("S3 did not answer", again=True)))
    assert (skip.reason, skip.again) == ("S3 did not answer", True)
    assert not SkipInput("damaged").again


def test_require_names_the_extra() -> None:
    with pytest.raises(MissingDependencyError, match=r"pip install 'multimodal-search\[ray\]'"):
        require("no_such_module_anywhere", extra="ray")
    assert require("json", extra="ray").dumps([1]) == "[1]"


def test_nearest_names_what_was_meant() -> None:
    assert nearest("ViT-L14", ["ViT-L-14", "RN50"]) == "did you mean 'ViT-L-14'?"
    assert nearest("zzz", ["b", "a"]) == "known: a, b"
