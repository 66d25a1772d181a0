"""``multimodal-search train``: the main job."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import (
    detect_cloud,
    leaving_the_reason,
    place_defaults,
    process_options,
    sagemaker_channel,
    set_up,
)
from multimodal_search.settings import TrainSettings, check, parse


def settings_from(argv: Sequence[str], prog: str = "multimodal-search train") -> TrainSettings:
    """The settings of a run: what the place suggests, then ``--config`` files, then flags."""
    asked = parse(TrainSettings, argv, prog=prog, summary=COMMANDS["train"])
    cloud = asked.cloud or detect_cloud()
    place = place_defaults(cloud)
    channel = sagemaker_channel() if cloud == "sagemaker" else None
    if channel and not any((asked.data_dir, asked.nuscenes_path, asked.pairs, asked.use_sample_data)):
        place["data_dir"] = channel
    if asked.skip_training:
        place.pop("resume", None)
    given = asked.model_dump(exclude_unset=True)
    if trainer := {**process_options(), **given.get("trainer", {})}:
        given["trainer"] = trainer
    return check(TrainSettings, {**place, **given, "cloud": cloud})


def main(argv: Sequence[str]) -> int:
    """Train, measure and export."""
    with leaving_the_reason():
        settings = settings_from(argv)
        set_up(settings)
        from multimodal_search.training.run import run

        run(settings)
    return 0
