"""Any filter over any metadata finds in an engine what it finds on columns."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from multimodal_search.errors import SettingsError
from multimodal_search.filters import And, Compare, Contains, Filter, In, Not, Or
from tests.index.backends.conftest import opened, vector_set

FIELDS = ["text", "whole", "number", "truth", "time", "speed", "any", "a.b", "night-time", "夜"]
whole = st.sampled_from([-3, 0, 1, 2, 2**53, 2**53 + 1, -(2**60), 1_600_000_000_000_000])
number = st.sampled_from([-1.5, -0.0, 0.1, 1.0, 2.5, 1e300, float("inf"), float("nan"), 5e-324])
text = st.sampled_from(["", "a", "b", "1", "true", "夜", "a b"])
scalar = st.one_of(whole, number.filter(np.isfinite), text, st.booleans())
anything = st.one_of(
    st.none(), whole, st.sampled_from([0.5, 1.0]), text, st.booleans(), st.lists(text, max_size=2)
)

rows = st.fixed_dictionaries(
    {
        "text": st.none() | text,
        "whole": st.none() | whole,
        "number": st.none() | number,
        "truth": st.none() | st.booleans(),
        "time": st.none() | whole.filter(lambda one: abs(one) <= 2**53),
        "json": st.dictionaries(
            st.sampled_from(["any", "a.b", "night-time", "夜", "text"]), anything, max_size=4
        ),
        "speed": st.none() | st.sampled_from([0, 1, 10, 2**53 + 1]),
    }
)
NOTHING = dict.fromkeys(("text", "whole", "number", "truth", "time", "speed"))
tests = st.one_of(
    st.builds(Compare, st.sampled_from(FIELDS), st.sampled_from(["==", "!="]), st.none() | scalar),
    st.builds(
        Compare,
        st.sampled_from(FIELDS),
        st.sampled_from(["<", "<=", ">", ">="]),
        scalar.filter(lambda one: not isinstance(one, bool)),
    ),
    st.builds(In, st.sampled_from(FIELDS), st.lists(st.none() | scalar, min_size=1, max_size=3).map(tuple)),
    st.builds(Contains, st.sampled_from(FIELDS), text),
)
filters = st.recursive(
    tests,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda some: And(tuple(some))),
        st.lists(inner, min_size=2, max_size=3).map(lambda some: Or(tuple(some))),
    ),
    max_leaves=4,
)


def table(some: list[dict[str, Any]]) -> pa.Table:
    def column(name: str, kind: pa.DataType) -> pa.Array:
        return pa.array([one[name] for one in some], kind)

    described = [{**one["json"], **({} if one["speed"] is None else {"speed": one["speed"]})} for one in some]
    return pa.table(
        {
            "text": column("text", pa.string()),
            "whole": column("whole", pa.int64()),
            "number": column("number", pa.float64()),
            "truth": column("truth", pa.bool_()),
            "time": column("time", pa.timestamp("us")),
            "metadata": pa.array([json.dumps(one) for one in described]),
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["edge", "qdrant-memory"])
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@example(
    some=[{**NOTHING, "json": {"a.b": 1, "夜": 1}}, {**NOTHING, "json": {"a.b": "", "夜": True}}],
    asked=[Compare("a.b", "!=", -1.5), Compare("夜", "==", 1)],
)
@given(some=st.lists(rows, min_size=1, max_size=12), asked=st.lists(filters, min_size=1, max_size=8))
def test_an_engine_and_the_columns_agree(
    kind: str, tmp_path_factory: pytest.TempPathFactory, some: list[dict[str, Any]], asked: list[Filter]
) -> None:
    pytest.importorskip("qdrant_client")
    columns = table(some)
    vectors = vector_set(np.ones((len(some), 3)), columns=columns)
    folder: Path = tmp_path_factory.mktemp("any")
    backend = opened(kind, folder)
    try:
        backend.upload(vectors)
        for where in asked:
            try:
                keep = where.mask(columns)
            except SettingsError:
                # Of a field with values of several types the engine does not know which types
                with contextlib.suppress(SettingsError):
                    backend.search(np.ones(3), 100, where=where)
                continue
            found = backend.search(np.ones(3), 100, where=where)
            wanted = [vectors.ids[row] for row in np.flatnonzero(keep)]
            assert sorted(found.ids.tolist()) == sorted(wanted), str(where)
    finally:
        backend.close()
