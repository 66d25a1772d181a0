"""The main job as a user starts it: seconds, peak memory, and the figures its bundle reports.

    python benchmarks/main_job.py --scenes 100      what `make demo` runs
    python benchmarks/main_job.py --scenes 1000     150 unseen scenes

Every run starts from an empty folder: pictures are drawn, encoded and trained on from nothing. The bars are
those of the project; the bound printed beside the time is what importing the libraries alone takes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Run, then print what was measured beside the bars."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument(
        "--sample-seed", type=int, default=0, help="another world than the one that was developed on"
    )
    parser.add_argument("--show", action="store_true", help="print the run's own output too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, str(ROOT / "train.py"), "--use-sample-data", "--include-timeseries"]
        command += ["--sample-scenes", str(args.scenes), "--features-dir", "features"]
        command += ["--sample-seed", str(args.sample_seed)]
        seconds, peak_mb = run(command, Path(home), args.show)
        again, _ = run(command, Path(home), args.show)
        metrics = json.loads((Path(home) / "output" / "metrics.json").read_text())
    imports, _ = run([sys.executable, "-c", "import torch, lightning.pytorch, umap"], ROOT, False)
    print(f"{args.scenes} scenes with signals: {seconds:.1f} s, peak {peak_mb:.0f} MB", end="")
    print("   (bars: 60 s, 2000 MB)" if args.scenes == 100 else "")
    print(
        f"a second run, pictures and features found again: {again:.1f} s, {seconds / again:.1f} times faster"
    )
    print(f"importing torch, lightning and umap alone (the bound): {imports:.1f} s")
    report(metrics, args.scenes)


def report(metrics: dict[str, Any], scenes: int) -> None:
    """The three figures that have a bar, and the other directions."""
    unseen = len(metrics["splits"]["test"])
    print(f"{unseen} unseen scenes")
    for name, entry in metrics["directions"].items():
        low, high = (100 * part for part in entry["interval_95"]["R@10"])
        chance = 100 * entry["chance"]["R@10"]
        print(
            f"  {name:<24} R@10 {100 * entry['R@10']:5.1f} %  [{low:.0f}-{high:.0f}]  chance {chance:.1f} %  "
            f"median rank {entry['median_rank']:g} of {entry['gallery']}"
        )
    manoeuvre = metrics["labels"]["timeseries->text"]["manoeuvre"]
    print(f"  signal -> text, mAP of the manoeuvre: {manoeuvre['mAP']:.3f}, chance {manoeuvre['chance']:.3f}")
    if scenes >= 1000:
        directions = metrics["directions"]
        bars = [
            ("text -> image R@10", directions["text->image"]["R@10"], 0.60),
            ("signal -> text manoeuvre mAP", manoeuvre["mAP"], 0.80),
            ("Japanese text -> image R@10", directions["text[ja]->image"]["R@10"], 0.50),
        ]
        for name, value, bar in bars:
            print(f"bar: {name}: {value:.3f} (at least {bar:.2f}) {'met' if value >= bar else 'MISSED'}")


def run(command: list[str], home: Path, show: bool) -> tuple[float, float]:
    """Seconds, and the largest resident memory of any child so far in MB."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=home, capture_output=not show, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


if __name__ == "__main__":
    main()
