"""kill -9 at random moments until the job is through: is every row there once, byte for byte?

    python benchmarks/embed_kills.py --engines local processes ray --kills 50

A run without kills is the reference. Then runs are started, killed and started again at once, each kill at a
random moment and on a random victim: the command, one of its workers, or its whole process group. When a run
gets to its end its table is compared with the reference (ids, and the SHA-256 of every part file), and the
next one begins from nothing, until so many kills have been made. Some of the pictures are broken, so failures
count too. At the end no process may be left.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from peers import photos

from multimodal_search.tables import open_table

ROOT = Path(__file__).parents[1]
VICTIMS = ("command", "worker", "group")


def main() -> None:
    """Print how each engine came through."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engines", nargs="+", choices=["local", "processes", "ray"], default=["processes"])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--count", type=int, default=800, help="pictures")
    parser.add_argument("--rows-per-part", type=int, default=16)
    parser.add_argument("--num-processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        photos.write_photos(home / "pictures", args.count, (640, 360))
        photos.break_some(home / "pictures", every=37)
        for engine in args.engines:
            tortured(args, home, engine)


def tortured(args: argparse.Namespace, home: Path, engine: str) -> None:
    """One engine: its reference, then kills."""
    reference, out = home / f"{engine}-reference", home / f"{engine}-killed"
    begin = time.monotonic()
    finish(start(args, home, engine, reference), home)
    seconds = time.monotonic() - begin
    wanted = fingerprints(reference)
    print(f"{engine}: {len(open_table(reference).ids)} rows in {len(wanted)} files, {seconds:.1f} s unkilled")
    dice = random.Random(args.seed)
    made: Counter[str] = Counter()
    seen: set[psutil.Process] = set()
    whole = 0
    while made.total() < args.kills:
        process = start(args, home, engine, out)
        if killed(process, dice, seconds, made, seen):
            continue
        finish(process, home)
        compare(out, reference, wanted)
        whole += 1
        shutil.rmtree(out)
    finish(start(args, home, engine, out), home)
    compare(out, reference, wanted)
    left = psutil.wait_procs(seen, timeout=60)[1]
    if left:
        sys.exit(f"{engine}: {len(left)} processes outlive their command by a minute: {left}")
    print(
        f"{engine}: {made.total()} kills ({', '.join(f'{n} of the {who}' for who, n in made.items())}), "
        f"{whole + 1} tables finished, each id once and each part file as without kills"
    )


def start(args: argparse.Namespace, home: Path, engine: str, out: Path) -> psutil.Popen:
    """The command, leading a process group of its own."""
    command = [sys.executable, "-m", "multimodal_search", "embed", "--image-dir", str(home / "pictures")]
    command += ["--encoder", "sample/vit", "--out", str(out), "--engine", engine, "--device", "cpu"]
    command += ["--rows-per-part", str(args.rows_per_part), "--batch-size", "4"]
    if engine != "local":
        command += ["--num-processes", str(args.num_processes)]
    with (home / "log.txt").open("w") as log:
        return psutil.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )


def killed(
    process: psutil.Popen, dice: random.Random, seconds: float, made: Counter[str], seen: set[psutil.Process]
) -> bool:
    """Kill at random moments; True where that ended the run, False where it got to its end alive."""
    while True:
        try:
            process.wait(timeout=dice.uniform(0.1, seconds))
            return False
        except psutil.TimeoutExpired:
            pass
        victim = dice.choice(VICTIMS)
        workers = workers_of(process)
        if victim == "worker" and not workers:
            victim = "command"
        made[victim] += 1
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            seen.update(process.children(recursive=True))
            if victim == "worker":
                dice.choice(workers).kill()
                continue  # the run has to survive that
            if victim == "group":
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        process.wait()
        return True


def workers_of(process: psutil.Popen) -> list[psutil.Process]:
    """The processes that compute: on Ray the actors, else the children that hold a model."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                name = " ".join(child.cmdline())
                actor = name.startswith("ray::RayShell")
                plain = "python" in child.name() and "ray" not in name and "tracker" not in name
                if actor or plain:
                    found.append(child)
    return found


def finish(process: psutil.Popen, home: Path) -> None:
    """Wait for a run that nobody kills.

    Raises:
        SystemExit: it failed.
    """
    if process.wait() != 0:
        sys.exit(f"a run failed:\n{(home / 'log.txt').read_text()[-3000:]}")


def fingerprints(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 of every part file, and of the list of failures."""
    files = [*folder.glob("part-*"), folder / "failures.jsonl"]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)}


def compare(out: Path, reference: Path, wanted: dict[str, str]) -> None:
    """Refuse the smallest difference.

    Raises:
        SystemExit: the tables differ.
    """
    ids = open_table(out).ids
    if ids != open_table(reference).ids or len(ids) != len(set(ids)):
        sys.exit(f"{out}: the ids are not the reference's, each once")
    found = fingerprints(out)
    different = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    if different:
        sys.exit(f"{out}: {len(different)} files differ, for example {different[0]}")


if __name__ == "__main__":
    main()
