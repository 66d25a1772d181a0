"""Signals from files: never unpickled, always in time order, repaired up to the stated share."""

from __future__ import annotations

import io
import json
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search.errors import DataError, SkipInput
from multimodal_search.sources.series import (
    MAX_REPAIRED_SHARE,
    Layout,
    in_time_order,
    read_layout,
    read_series,
    repaired,
    window,
)
from multimodal_search.types import Series


def saved(path: Path, table: Any) -> Path:
    np.save(path, table)
    return path


def reason(path: Path, layout: Layout | None = None) -> str:
    with pytest.raises(SkipInput) as caught:
        read_series(path, layout)
    return caught.value.reason


class Exploding:
    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('unpickled')",)


def test_a_table_becomes_a_series(tmp_path: Path) -> None:
    table = np.arange(12, dtype=np.float32).reshape(6, 2)
    series = read_series(saved(tmp_path / "a.npy", table), Layout(("speed_mps", "brake"), 5.0))
    assert series.channels == ("speed_mps", "brake")
    np.testing.assert_allclose(series.timestamps_seconds, np.arange(6) / 5)
    np.testing.assert_array_equal(series.values, table)
    assert series.values.dtype == np.float64


@pytest.mark.parametrize("dtype", ["int16", "uint8", "bool", "float16", "float32", ">f8"])
def test_any_numeric_type(tmp_path: Path, dtype: str) -> None:
    series = read_series(saved(tmp_path / "a.npy", np.ones((4, 2), dtype=dtype)))
    assert series.channels == ("channel_00", "channel_01")
    assert (series.values == 1).all()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (np.ones(5), "shape (5,)"),
        (np.ones((2, 3, 4)), "shape (2, 3, 4)"),
        (np.float64(3), "shape ()"),
        (np.ones((0, 3)), "empty"),
        (np.ones((3, 0)), "empty"),
        (np.array([["a", "b"]]), "not numeric"),
        (np.ones((3, 2), dtype=complex), "not numeric"),
        (np.zeros(3, dtype=[("t", "f8"), ("v", "f8")]), "not numeric"),
        (np.full((5, 2), np.nan), "NaN or infinite"),
        (np.full((5, 2), np.inf), "NaN or infinite"),
    ],
)
def test_unusable_tables_say_why(tmp_path: Path, table: Any, said: str) -> None:
    assert said in reason(saved(tmp_path / "a.npy", table))


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "object.npy", np.array([[Exploding()]], dtype=object), allow_pickle=True)
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(Exploding()))
    assert "pickled" in reason(tmp_path / "object.npy")
    assert "pickled" in reason(tmp_path / "plain.npy")


def test_files_that_are_no_whole_npy(tmp_path: Path) -> None:
    whole = saved(tmp_path / "whole.npy", np.ones((100, 6))).read_bytes()
    for name, content in {
        "cut": whole[:1000],
        "head": whole[:40],
        "text": b"a,b\n1,2\n",
        "none": b"",
    }.items():
        (tmp_path / f"{name}.npy").write_bytes(content)
    assert "truncated" in reason(tmp_path / "cut.npy")
    assert reason(tmp_path / "head.npy")
    assert reason(tmp_path / "text.npy")
    assert "empty" in reason(tmp_path / "none.npy")
    assert reason(tmp_path / "absent.npy") == "series missing"
    np.savez(tmp_path / "many.npz", a=np.ones((2, 2)))
    assert "npz" in reason((tmp_path / "many.npz").rename(tmp_path / "many.npy"))


def test_a_header_that_promises_terabytes_allocates_nothing(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 6)}
    np.lib.format.write_array_header_1_0(buffer, header)
    (tmp_path / "bomb.npy").write_bytes(buffer.getvalue() + b"\0" * 64)
    assert "truncated" in reason(tmp_path / "bomb.npy")


def test_a_time_column_is_time_in_any_order(tmp_path: Path) -> None:
    table = np.array([[2.0, 20], [0.5, 5], [1.0, 10], [1.0, 12], [np.nan, 99]])
    series = read_series(saved(tmp_path / "a.npy", table), Layout(("timestamp_seconds", "speed_mps")))
    assert series.channels == ("speed_mps",)
    assert series.timestamps_seconds.tolist() == [0.5, 1.0, 2.0]
    assert series.values[:, 0].tolist() == [5, 11, 20]


def test_times_in_microseconds_are_not_taken_for_years(tmp_path: Path) -> None:
    table = np.stack([np.arange(0, 20e6, 1e5), np.ones(200)], axis=1)
    layout = Layout(("timestamp_seconds", "speed_mps"))
    assert "more than a day" in reason(saved(tmp_path / "a.npy", table), layout)
    table[0, 0] = -1e308
    table[1, 0] = 1e308
    assert "more than a day" in reason(saved(tmp_path / "a.npy", table), layout)


def test_columns_must_be_as_many_as_names(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npy", np.ones((4, 2)))
    assert "2 columns, channels.json names 3" in reason(path, Layout(("a", "b", "c")))


def test_channels_that_give_the_place_away_are_left_out(tmp_path: Path) -> None:
    names = (
        "latitude",
        "speed_mps",
        "pos_x_m",
        "heading_rad",
        "odometer_km",
        "battery_level",
        "yaw_rate_radps",
    )
    series = read_series(saved(tmp_path / "a.npy", np.ones((4, 7))), Layout(names))
    assert series.channels == ("speed_mps", "yaw_rate_radps")
    assert "no channel" in reason(saved(tmp_path / "b.npy", np.ones((4, 1))), Layout(("x",)))


def test_layout_from_channels_json(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "multimodal_search"):
        assert read_layout(tmp_path) == Layout(None, 10.0)
    assert "10 Hz" in caplog.text
    content = {"channels": ["speed_mps", "longitude"], "rate_hz": 20}
    (tmp_path / "channels.json").write_text(json.dumps(content))
    assert read_layout(tmp_path) == Layout(("speed_mps", "longitude"), 20.0)
    assert "longitude" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"channels": []}',
        '{"channels": "speed"}',
        '{"channels": ["a", "a"]}',
        '{"channels": [1]}',
        '{"rate_hz": 0}',
        '{"rate_hz": NaN}',
        '{"rate_hz": true}',
    ],
)
def test_a_wrong_channels_json_stops_with_a_remedy(tmp_path: Path, content: str) -> None:
    (tmp_path / "channels.json").write_text(content)
    with pytest.raises(DataError) as caught:
        read_layout(tmp_path)
    assert "channels.json" in str(caught.value.where)
    assert caught.value.remedy


def test_repair_up_to_the_stated_share() -> None:
    times = np.array([0.0, 1.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0])
    few = 2 * times
    few[[1, 9]] = np.nan, np.inf
    many = times.copy()
    many[:3] = np.nan
    huge = times.copy()
    huge[4] = -1e30
    result = repaired(Series(times, np.stack([few, many, huge], axis=1), ("few", "many", "huge")))
    np.testing.assert_allclose(result.values[:9, 0], 2 * times[:9])
    assert result.values[9, 0] == 18  # the last known value reaches to the end
    assert np.isnan(result.values[:, 1]).all()
    np.testing.assert_allclose(result.values[:, 2], times)


def test_a_window_is_cut_at_the_ends() -> None:
    times = np.arange(0, 20.05, 0.1)
    series = Series(times, times[:, None], ("a",))
    middle = window(series, 10.0, 4.0)
    assert middle.timestamps_seconds[[0, -1]].tolist() == pytest.approx([8, 12])
    assert window(series, 0.0, 4.0).timestamps_seconds[[0, -1]].tolist() == pytest.approx([0, 2])
    assert len(window(series, 100.0, 4.0).timestamps_seconds) == 0


numbers = st.floats(width=64, allow_nan=True, allow_infinity=True)


@settings(max_examples=150)
@given(st.lists(st.tuples(numbers, numbers, numbers), max_size=30))
def test_time_order_is_strict_and_no_order_of_rows_matters(rows: list[tuple[float, float, float]]) -> None:
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    with np.errstate(all="ignore"):
        times, values = in_time_order(table[:, 0], table[:, 1:])
        again = in_time_order(table[::-1, 0], table[::-1, 1:])
    assert np.isfinite(times).all()
    assert (np.diff(times) > 0).all()
    assert values.shape == (times.size, 2)
    assert set(times) == {one for one in table[:, 0] if np.isfinite(one)}
    np.testing.assert_array_equal(times, again[0])
    np.testing.assert_allclose(values, again[1], rtol=1e-6, atol=1e300 * 1e-10)


@settings(max_examples=150)
@given(st.lists(st.lists(numbers, min_size=2, max_size=2), min_size=1, max_size=40))
def test_repair_leaves_whole_channels_or_none(rows: list[list[float]]) -> None:
    values = np.array(rows)
    series = Series(np.arange(len(rows)) / 10, values, ("a", "b"))
    usable = np.abs(values) < 1e12
    enough = (~usable).mean(axis=0) <= MAX_REPAIRED_SHARE
    if not enough.any():
        with pytest.raises(SkipInput):
            repaired(series)
        return
    result = repaired(series)
    for channel in range(2):
        column = result.values[:, channel]
        if enough[channel]:
            known = values[usable[:, channel], channel]
            assert np.isfinite(column).all()
            np.testing.assert_array_equal(column[usable[:, channel]], known)
            assert known.min() <= column.min() <= column.max() <= known.max()
        else:
            assert np.isnan(column).all()


def test_a_picture_is_not_called_a_pickle(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"\xff\xd8\xff\xe0 a picture")
    with pytest.raises(SkipInput, match=r"not an \.npy file"):
        read_series(tmp_path / "a.npy")


@settings(max_examples=100)
@given(content=st.binary(max_size=200), whole=st.booleans())
def test_any_bytes_give_a_series_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, whole: bool
) -> None:
    path = tmp_path_factory.mktemp("noise") / "a.npy"
    path.write_bytes((b"\x93NUMPY\x01\x00" if whole else b"") + content)
    try:
        series = read_series(path)
    except SkipInput as skip:  # any other exception fails
        assert skip.reason  # noqa: PT017
    else:
        assert np.isfinite(series.values).any()
