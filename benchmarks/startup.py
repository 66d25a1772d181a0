"""How long `--help` and `import multimodal_search` take, beside a bare interpreter and importing torch.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
CASES = {
    "bare interpreter (the bound)": ["-c", "pass"],
    "import multimodal_search": ["-c", "import multimodal_search"],
    "multimodal-search --help": ["-m", "multimodal_search", "--help"],
    "train.py --help": ["train.py", "--help"],
    "import torch": ["-c", "import torch"],
}


def main() -> None:
    """Print the median of several runs, and the ratio to the bound."""
    bound = 0.0
    for name, arguments in CASES.items():
        seconds = statistics.median(timed(arguments) for _ in range(7))
        bound = bound or seconds
        print(f"{name:<30} {seconds:6.3f} s  {seconds / bound:6.1f} times the bound")
    print("bar: under 1 s, and no torch (tests/test_layers.py holds the second)")


def timed(arguments: list[str]) -> float:
    """Seconds of one process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
