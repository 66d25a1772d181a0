"""What the pictures show, read from what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from multimodal_search.export import plots
from multimodal_search.types import Item


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    figures = []
    original = plots._save

    def keep(figure, path):
        figures.append(figure)
        original(figure, path)

    monkeypatch.setattr(plots, "_save", keep)
    return figures


def _items(n, **metadata):
    return [Item(str(i), f"s{i}", metadata={k: v[i % len(v)] for k, v in metadata.items()}) for i in range(n)]


def test_location_comes_first_then_weather():
    items = [
        Item(str(i), str(i), location="ab"[i % 2], metadata={"weather": "xy"[i // 2 % 2]}) for i in range(12)
    ]
    assert plots.colour_keys(items) == ["location", "weather"]


def test_a_value_a_scene_and_numbers_are_no_legend():
    items = _items(
        12, name=[f"n{i}" for i in range(12)], speed=[0.5, 1.5], lane=["left", "right"], one=["same"]
    )
    assert plots.colour_keys(items) == ["lane"]


def test_the_map_has_titles_units_and_a_legend_with_counts(drawn, tmp_path):
    items = _items(20, weather=["rain", "clear", "clear", None])
    plots.plot_map(
        tmp_path / "m.png", items, np.random.default_rng(0).normal(size=(20, 2)), unseen=frozenset({"s3"})
    )
    (figure,) = drawn
    assert isinstance(figure, Figure)
    assert "20 scenes" in figure.get_suptitle()
    assert "no head was trained on" in figure.get_supxlabel()
    (ax,) = figure.axes
    assert "weather" in ax.get_title()
    assert "UMAP 1" in ax.get_xlabel()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "clear (10)",
        "rain (5)",
        "unknown (5)",
    ]


def test_a_map_without_anything_to_colour_by_is_drawn(drawn, tmp_path):
    plots.plot_map(tmp_path / "m.png", [Item("a", "a")], np.zeros((1, 2)), unseen=frozenset())
    assert drawn[0].axes[0].get_legend() is None
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.format == "PNG"


def test_the_curves_mark_the_best_epoch_and_chance(drawn, history, tmp_path):
    assert plots.plot_training(tmp_path / "t.png", history(12), val_scenes=10)
    top, bottom = drawn[0].axes
    assert "nats" in top.get_ylabel()
    assert "epoch" in bottom.get_xlabel()
    assert "reciprocal rank" in bottom.get_ylabel()
    assert [text.get_text() for text in bottom.texts] == ["best: 0.765 (epoch 8)"]
    legend = [text.get_text() for text in bottom.get_legend().get_texts()]
    # (1 + 1/2 + ... + 1/10) / 10
    assert legend == ["image → text", "mean of all", "chance among 10 scenes (0.293)"]
    # the loss has no value at the start, retrieval has
    assert len(top.lines[0].get_xdata()) == 12
    assert len(bottom.lines[0].get_xdata()) == 13


@pytest.mark.parametrize("history_", [[], [{"epoch": 0.0, "val/mrr": 0.4}]])
def test_without_an_epoch_there_is_no_curve(tmp_path, history_):
    assert not plots.plot_training(tmp_path / "t.png", history_, val_scenes=3)
    assert not (tmp_path / "t.png").exists()


def test_nothing_held_out_draws_the_loss_alone_and_says_so(drawn, tmp_path):
    entries = [{"epoch": float(e), "train/loss": 2.0 - e} for e in range(3)]
    assert plots.plot_training(tmp_path / "t.png", entries, val_scenes=0)
    (ax,) = drawn[0].axes
    assert "epoch" in ax.get_xlabel()
    assert "held out" in drawn[0].get_supxlabel()


def test_letters_that_the_font_lacks_are_never_boxes():
    assert plots.drawable("boston-seaport") == "boston-seaport"
    assert plots.drawable("Zürich") == "Zürich"
    assert plots.drawable("雨") == "U+96E8"
    assert plots.drawable("a$b$") == r"a\$b\$"
    assert len(plots.drawable("x" * 100)) == 40


def test_the_second_panel_shows_what_the_map_groups() -> None:
    rng = np.random.default_rng(0)
    kinds = ["left", "right", "stop"]
    items = [
        Item(id=str(k), scene_id=str(k), metadata={"manoeuvre": kinds[k % 3], "weather": kinds[k // 40 % 3]})
        for k in range(120)
    ]
    places = np.array([[5.0 * (k % 3), 0.0] for k in range(120)]) + rng.normal(size=(120, 2))
    assert plots.agreement(items, places, "manoeuvre") > 0.4
    assert abs(plots.agreement(items, places, "weather")) < 0.1
