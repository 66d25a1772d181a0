"""Windows: every stretch is covered, none reaches over a pause."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from multimodal_search.extraction.mcap_windows import Window, WindowCutter

SECOND = 10**9


def _cut(times: list[float], window: float, stride: float, slack: float = 0.0) -> list[tuple[float, float]]:
    cutter = WindowCutter(window, stride, slack_seconds=slack)
    found: list[Window] = []
    for time in times:
        found += cutter.pass_time(round(time * SECOND))
    found += cutter.end()
    return [(one.start_ns / SECOND, one.end_ns / SECOND) for one in found]


def test_windows_of_a_drive_overlap_by_the_stride() -> None:
    assert [one[0] for one in _cut([i / 10 for i in range(600)], 20, 10)] == [0, 10, 20, 30, 40]


def test_a_scene_as_long_as_the_window_is_one() -> None:
    [(start, end)] = _cut([i / 10 for i in range(200)], 20, 10)
    assert start == 0
    assert abs(end - 19.9) < 1e-6


def test_a_short_recording_is_one_short_window() -> None:
    [(start, end)] = _cut([0.0, 1.0, 2.0], 20, 10)
    assert (start, round(end, 6)) == (0, 2)


def test_the_end_is_kept_where_it_is_long_enough() -> None:
    starts = [one[0] for one in _cut([i / 10 for i in range(360)], 20, 10)]
    assert starts == [0, 10, 20]  # 16 of 20 s
    assert [one[0] for one in _cut([i / 10 for i in range(330)], 20, 10)] == [0, 10]  # 13 s are not


def test_a_pause_begins_anew() -> None:
    times = [i / 10 for i in range(100)] + [100 + i / 10 for i in range(100)]
    found = _cut(times, 20, 10)
    assert [one[0] for one in found] == [0, 100]
    assert found[0][1] < 11


def test_a_sample_that_comes_late_still_finds_its_window_open() -> None:
    cutter = WindowCutter(2, 2, slack_seconds=1)
    assert list(cutter.pass_time(0)) == []
    assert list(cutter.pass_time(round(2.5 * SECOND))) == []
    assert cutter.open_since_ns == 0
    assert len(list(cutter.pass_time(round(3.1 * SECOND)))) == 1


@given(
    st.lists(st.floats(0, 300), min_size=1, max_size=60),
    st.floats(0.5, 30),
    st.floats(0.5, 30),
    st.sampled_from([0.0, 5.0]),
)
def test_windows_are_in_order_and_as_long_as_asked_at_most(
    times: list[float], window: float, stride: float, slack: float
) -> None:
    found = _cut(sorted(times), window, stride, slack)
    assert found  # the first sample is always in one
    assert found[0][0] == round(min(times) * SECOND) / SECOND
    for start, end in found:
        assert 0 < end - start <= window + 1e-6
    starts = [one[0] for one in found]
    assert starts == sorted(set(starts))
