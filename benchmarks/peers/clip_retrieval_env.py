"""An environment of its own for clip-retrieval, and a process in it that takes orders.

clip-retrieval pins numpy < 2, pyarrow < 16, open_clip < 3 and older transformers than we use, so it never
shares ours. Torch, torchvision and Pillow are the very ones we run on (a ``.pth`` file lends ours): the same
kernels, the same libjpeg, and no second download of torch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from types import TracebackType
from typing import Any, Self

VERSION = "2.45.0"
# clip-anytorch imports pkg_resources, and sentence-transformers 2 the API of transformers 4; neither says so
_PINS = [f"clip-retrieval=={VERSION}", "setuptools<81", "transformers<5"]
_DRIVER = Path(__file__).with_name("clip_retrieval_driver.py")


def environment(folder: Path) -> Path:
    """The Python of the peer's environment; made on first use, about a minute.

    Raises:
        SystemExit: pip cannot install it; its last words are shown.
    """
    python = folder / "bin" / "python"
    ready = folder / f"ready-{VERSION}"
    if ready.exists():
        return python
    print(f"making an environment for clip-retrieval {VERSION} in {folder} ...", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(folder)})
    Path(packages, "zz_torch_of_the_host.pth").write_text(sysconfig.get_path("purelib") + "\n")
    log = folder / "install.log"
    with log.open("w") as file:
        done = subprocess.run([python, "-m", "pip", "install", *_PINS], stdout=file, stderr=file, check=False)
    if done.returncode:
        sys.exit(f"pip could not install clip-retrieval:\n{log.read_text()[-2000:]}\n(all of it: {log})")
    ready.touch()
    return python


class Peer:
    """A process with clip-retrieval imported; one order a line in, one answer a line out."""

    def __init__(self, python: Path, log: Path) -> None:
        self._log = log.open("a")
        self._process = subprocess.Popen(
            [python, _DRIVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            # waiting threads that spin slow its own decoding down on few cores: it gets what we set for ours
            env={**os.environ, "PYTHONPATH": "", "OMP_WAIT_POLICY": "PASSIVE"},
        )

    def __call__(self, order: str, **arguments: Any) -> dict[str, Any]:
        """Send an order, wait for its answer.

        Raises:
            SystemExit: the peer failed; its log says why.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"order": order, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            sys.exit(f"clip-retrieval stopped at {order} {arguments}; see {self._log.name}")
        return dict(json.loads(answer))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        self._log.close()
