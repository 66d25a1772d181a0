"""``multimodal-search sample``: write the sample world to a folder."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from multimodal_search.cli import COMMANDS
from multimodal_search.cli.launcher import configure_logging
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
    configure_logging()
    if settings.format == "meshes":
        from multimodal_search.rendering.shapes import LABELS_FILE, write_sample

        write_sample(settings.out, settings.scenes, settings.seed)
        print(f"wrote {settings.scenes} specimens and {LABELS_FILE} to {settings.out}")
        place = shlex.quote(str(settings.out))
        print(f"next: multimodal-search specimens --in {place} --out specimens --encoder sample/vit")
        return 0
    if settings.format == "mcap":
        from multimodal_search.extraction.mcap_sample import write_mcap

        write_mcap(
            settings.out,
            encoding=settings.encoding,
            scenes=settings.scenes,
            seed=settings.seed,
            cameras=tuple(settings.cameras),
        )
    else:
        from multimodal_search.sources import sample

        sample.write(
            settings.format,
            settings.out,
            scenes=settings.scenes,
            seed=settings.seed,
            cameras=tuple(settings.cameras),
        )
    hint = _NEXT[settings.format].format(out=shlex.quote(str(settings.out)))
    if settings.format != "mcap":
        # drawn pictures: without these flags the default is the encoder of real ones, and a large download
        hint += " --image-encoder sample/vit --text-encoder sample/text"
    print(f"wrote {settings.scenes} scenes to {settings.out}\nnext: python {hint}")
    return 0
