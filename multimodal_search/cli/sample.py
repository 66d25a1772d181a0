"""``multimodal-search sample``: write the sample world to a folder."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import set_up
from multimodal_search.cli.places import output_at_hand
from multimodal_search.settings import SampleSettings, parse

_NEXT = {
    "extracted": "train.py --data-dir {out} --include-timeseries",
    "nuscenes": "train.py --nuscenes-path {out} --use-devkit --include-timeseries",
    "pairs": "train.py --pairs {out}/pairs.csv",
    "mcap": "-m multimodal_search extract --mcap {out} --text-topic /events",
}


def main(argv: Sequence[str]) -> int:
    """Write scenes in the asked format and say how to train on them."""
    settings = parse(SampleSettings, argv, prog="multimodal-search sample", summary=COMMANDS["sample"])
    set_up(settings)
    with output_at_hand(settings) as local:
        _write(local)
    place = shlex.quote(settings.out)
    if settings.format == "meshes":
        print(f"wrote {settings.scenes} specimens and their labels to {settings.out}")
        print(f"next: multimodal-search specimens --in {place} --out specimens --encoder sample/vit")
        return 0
    hint = _NEXT[settings.format].format(out=place)
    if settings.format != "mcap":
        # drawn pictures: without these flags the default is the encoder of real ones, and a large download
        hint += " --image-encoder sample/vit --text-encoder sample/text"
    print(f"wrote {settings.scenes} scenes to {settings.out}\nnext: python {hint}")
    return 0


def _write(settings: SampleSettings) -> None:
    out = Path(settings.out)
    if settings.format == "meshes":
        from multimodal_search.rendering.shapes import write_sample

        write_sample(out, settings.scenes, settings.seed)
        return
    scenes, seed, cameras = settings.scenes, settings.seed, tuple(settings.cameras)
    if settings.format == "mcap":
        from multimodal_search.extraction.mcap_sample import write_mcap

        write_mcap(out, encoding=settings.encoding, scenes=scenes, seed=seed, cameras=cameras)
    else:
        from multimodal_search.sources import sample

        sample.write(settings.format, out, scenes=scenes, seed=seed, cameras=cameras)
