"""Workers that the processes of every engine can import, and one local Ray for the tests of a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from multimodal_search.engines import Engine, open_engine

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))


@pytest.fixture(scope="session", autouse=True)
def importable_workers() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1])]))
        yield


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """Starting Ray takes seconds: the engines of a file share one."""
    pytest.importorskip("ray")
    from multimodal_search.engines.ray_cluster import connected

    with connected(None, cpus=2):
        yield


@pytest.fixture
def make_engine(request: pytest.FixtureRequest) -> Callable[..., Engine]:
    """``make_engine(kind, count)`` on the CPU."""

    def make(kind: str, count: int = 2) -> Engine:
        if kind == "ray":
            request.getfixturevalue("local_ray")
        return open_engine(kind, num_processes=None if kind == "local" else count, device="cpu")

    return make


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """``wait_until(condition)``, for at most so many seconds."""
    import time

    def wait(condition: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come about"
            time.sleep(0.02)

    return wait


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """``alive(process_id)``; a zombie is not."""

    def check(process: int) -> bool:
        try:
            return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False

    return check
