"""Flags, YAML and defaults give one settings object; mistakes name the nearest right word."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimodal_search.errors import SettingsError
from multimodal_search.settings import (
    ClusterSettings,
    DuplicatesSettings,
    EmbedSettings,
    EvaluateSettings,
    ExtractSettings,
    IndexSettings,
    MapSettings,
    PoolSettings,
    RenderSettings,
    SampleSettings,
    ScenarioSettings,
    SearchAllSettings,
    SearchSettings,
    ServeSettings,
    Settings,
    SpecimensSettings,
    SweepSettings,
    TrainSettings,
    check,
    dump_settings,
    parse,
    read_config,
)
from multimodal_search.settings.flags import build_parser

ALL: dict[str, type[Settings]] = {
    "train": TrainSettings,
    "evaluate": EvaluateSettings,
    "search": SearchSettings,
    "sample": SampleSettings,
    "embed": EmbedSettings,
    "index": IndexSettings,
    "map": MapSettings,
    "cluster": ClusterSettings,
    "cluster-sweep": SweepSettings,
    "search-all": SearchAllSettings,
    "duplicates": DuplicatesSettings,
    "extract": ExtractSettings,
    "scenario": ScenarioSettings,
    "serve": ServeSettings,
    "render": RenderSettings,
    "pool": PoolSettings,
    "specimens": SpecimensSettings,
}


def train(*argv: str) -> TrainSettings:
    return parse(TrainSettings, argv, prog="train.py", summary="")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--use-sample-data"], True),
        (["--use-sample-data", "True"], True),
        (["--use-sample-data", "true"], True),
        (["--use-sample-data=1"], True),
        (["--use-sample-data", "false"], False),
        (["--use-sample-data", "False"], False),
        (["--no-use-sample-data"], False),
        (["--use_sample_data"], True),
        (["--use_sample_data=false"], False),
        (["--no_use_sample_data"], False),
        ([], False),
        (["--use-sample-data", "--epochs", "3"], True),
    ],
)
def test_every_form_of_a_boolean(argv: list[str], expected: bool) -> None:
    assert train(*argv).use_sample_data is expected


@pytest.mark.parametrize("text", ["True", "true", "False"])
def test_every_boolean_of_every_command_in_the_words_of_a_hyperparameter(text: str) -> None:
    for model in ALL.values():
        parser = build_parser(model, prog="", summary="")
        for name, field in model.model_fields.items():
            if bool in (field.annotation, *get_args(field.annotation)):
                given, rest = parser.parse_known_args(["--" + name.replace("_", "-"), text])
                assert (getattr(given, name), rest) == (text != "False", []), name


def test_later_sources_win(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(
        "training:\n  epochs: 5\n  learning-rate: 0.01\nseed: 3\ntrainer: {max_time: '00:01:00:00'}\n"
    )
    second.write_text("epochs: 6\n")
    settings = train("--config", str(first), "--config", str(second), "--seed", "9")
    assert (settings.epochs, settings.learning_rate, settings.seed) == (6, 0.01, 9)
    assert settings.trainer == {"max_time": "00:01:00:00"}


def test_lists_by_space_and_by_comma() -> None:
    assert train("--cameras", "CAM_FRONT", "CAM_BACK").cameras == ["CAM_FRONT", "CAM_BACK"]
    assert train("--cameras", "CAM_FRONT,CAM_BACK").cameras == ["CAM_FRONT", "CAM_BACK"]


def test_a_choice_of_numbers() -> None:
    settings = parse(EmbedSettings, ["--out", "x", "--grid-size", "7"], prog="", summary="")
    assert settings.grid_size == 7
    with pytest.raises(SettingsError, match="--grid-size"):
        parse(EmbedSettings, ["--out", "x", "--grid-size", "9"], prog="", summary="")


def test_feature_tables_by_space_and_by_flag_with_commas_in_their_names() -> None:
    flags = ["--features", "a,b", "s3://bucket/x", "--features", "c"]
    assert train(*flags).features == ["a,b", "s3://bucket/x", "c"]
    assert train("--features", "~/t").features == [str(Path("~/t").expanduser())]
    assert train().features == []


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--use-sampledata"], ["--use-sampledata", "--use-sample-data"]),
        (["--epoch", "3"], ["--epoch", "--epochs"]),
        (["--epochs", "0"], ["--epochs", "greater than or equal to 1"]),
        (["--epochs", "many"], ["--epochs", "integer"]),
        (["--device", "gpu"], ["--device", "cuda"]),
        (["--use-sample-data=maybe"], ["maybe", "neither true nor false"]),
        (["stray"], ["stray"]),
        (["--config", "absent.yaml"], ["absent.yaml"]),
    ],
)
def test_mistakes_are_explained(argv: list[str], words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        train(*argv)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch: 3", ["'epoch'", "'epochs'"]),
        ("training: {epoch: 3}", ["'epoch'", "'epochs'"]),
        ("a: [1", ["line 1"]),
        ("- 1", ["key: value"]),
        ("epochs: 3\ntraining: {epochs: 4}", ["stands twice"]),
    ],
)
def test_yaml_mistakes_are_explained(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        train("--config", str(file))
    for word in [*words, str(file)]:
        assert word in str(caught.value)


@given(
    epochs=st.integers(1, 10_000),
    rate=st.floats(1e-6, 10, allow_nan=False),
    folder=st.text(min_size=1, max_size=30).filter(lambda text: text.isprintable()),
    sample=st.booleans(),
)
def test_written_settings_read_back(epochs: int, rate: float, folder: str, sample: bool) -> None:
    import tempfile

    values = {"epochs": epochs, "learning_rate": rate, "data_dir": folder, "use_sample_data": sample}
    settings = check(TrainSettings, values)
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "settings.yaml"
        file.write_text(dump_settings(settings), encoding="utf-8")
        assert check(TrainSettings, read_config(file, tuple(TrainSettings.model_fields))) == settings


def test_home_is_expanded_wherever_a_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "settings.yaml"
    file.write_text("output_dir: ~/bundle\n")
    settings = train("--config", "~/settings.yaml", "--features-dir=~/features")
    assert settings.output_dir == str(tmp_path / "bundle")
    assert settings.features_dir == tmp_path / "features"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--output-dir", ""], ["--output-dir", "empty"]),
        (["--features", ""], ["--features", "empty"]),
        (["--output-dir=~nobody-of-this-name/x"], ["--output-dir", "no such user"]),
        (["--s3-output", ""], ["--s3-output"]),
        (["--learning-rate", "inf"], ["--learning-rate", "finite"]),
        (["--window-seconds", "nan"], ["--window-seconds"]),
        (["--limit", "0"], ["--limit", "(at least 1)"]),
        (["--learning-rate", "0"], ["(over 0"]),
    ],
)
def test_a_value_out_of_range_is_explained_in_words(argv: list[str], words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        train(*argv)
    for word in words:
        assert word in str(caught.value)


def test_the_flags_are_the_ones_that_were_agreed() -> None:
    """Adding or losing a flag is a decision: change the snapshot in the same commit."""
    lines = []
    for name, model in ALL.items():
        parser = build_parser(model, prog=name, summary="")
        flags = sorted(
            flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")
        )
        lines += [f"{name} {flag}" for flag in flags if not flag.startswith("--no-")]
    snapshot = Path(__file__).with_name("flags.txt")
    assert "\n".join(lines) + "\n" == snapshot.read_text()
