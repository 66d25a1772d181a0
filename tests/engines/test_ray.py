"""Ray itself: two real nodes of which one is lost; a local Ray that nobody else reaches, and that goes."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_workers import Doer, Job

from multimodal_search.engines.ray import RayEngine
from multimodal_search.errors import DataError, ProjectError, SettingsError

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow
LOOPBACK = "127.0.0.1"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head with two CPUs, in processes of its own on the loopback interface; also for ray:// clients."""
    from ray.cluster_utils import Cluster

    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        client_port = free.getsockname()[1]
    head = {"num_cpus": 2, "node_ip_address": LOOPBACK, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as patch:
        # Ray's switch for systems without clusters: 127.0.0.1 is not replaced by the outer address
        patch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", False)
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        made: Any = Cluster(
            initialize_head=True, head_node_args={**head, "ray_client_server_port": client_port}
        )
        made.client_port = client_port
        yield made
        made.shutdown()


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) == 0


@pytest.fixture
def driver(cluster: Any) -> Iterator[None]:
    """Joined to the head, whatever nodes come later."""
    ray.init(address=cluster.address)
    yield
    ray.shutdown()


def test_a_cluster_is_reached_from_outside(cluster: Any, wait_until: Callable[..., None]) -> None:
    """``ray://``; what a worker raises comes through too."""
    pytest.importorskip("grpc")
    wait_until(lambda: answers(cluster.client_port))
    with RayEngine(f"ray://{LOOPBACK}:{cluster.client_port}", count=1, device="cpu").open(Doer) as session:
        done = [report for report in session.map([Job("a", number=3), Job("b", number=4)]) if report.finished]
        assert sorted(report.value for report in done) == [9, 16]
        with pytest.raises(DataError, match="no such data"):
            list(session.map([Job("bad", "project error")]))


def test_no_node_can_take_a_worker(cluster: Any) -> None:
    with (
        pytest.raises(ProjectError, match="No node of the Ray cluster could take a worker") as caught,
        RayEngine(cluster.address, device="cuda", patience_seconds=1.0).open(Doer),
    ):
        pass
    assert "1 GPU" in str(caught.value)


def test_every_result_comes_once_though_a_worker_and_a_node_are_lost(cluster: Any, driver: None) -> None:
    doomed = cluster.add_node(num_cpus=1, node_ip_address=LOOPBACK)
    results: dict[str, tuple[str, int]] = {}
    jobs = (Job(f"job-{number}", "node") for number in itertools.count())
    wanted = 400
    killed_worker = killed_node = False
    with RayEngine(cluster.address, count=2, device="cpu").open(Doer) as session:
        for report in session.map(itertools.islice(jobs, wanted)):
            if not report.finished:
                continue
            assert report.task not in results
            results[report.task] = report.value
            node, process = report.value
            if not killed_worker and node != doomed.node_id and len(results) > 20:
                os.kill(process, signal.SIGKILL)
                killed_worker = True
            elif killed_worker and not killed_node and node == doomed.node_id and len(results) > 100:
                cluster.remove_node(doomed, allow_graceful=False)
                killed_node = True
    assert sorted(results) == sorted(f"job-{number}" for number in range(wanted))
    assert killed_worker
    assert killed_node
    assert len({process for _, process in results.values()}) >= 3


@pytest.mark.parametrize("address", ["nonsense", "host:", "ray://:x"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(SettingsError, match="--ray-address"), RayEngine(address).open(Doer):
        pass


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_nothing_answers_at_the_address(scheme: str) -> None:
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        address = f"{scheme}{LOOPBACK}:{free.getsockname()[1]}"
    with pytest.raises(SettingsError, match="Nothing answers"), RayEngine(address).open(Doer):
        pass


SCRIPT = """
import sys, time
from multimodal_search.engines import open_engine
from engine_workers import Doer, Job

if __name__ == "__main__":
    with open_engine("ray", num_processes=1, device="cpu").open(Doer) as session:
        jobs = [Job("modules", "modules"), Job("process", "process"), Job("long", "hang")]
        for report in session.map(jobs):
            print(report.task, report.finished, report.value, flush=True)
            if report.task == "process" and report.finished and "leave" in sys.argv:
                break
"""


def descendants(process: int) -> set[int]:
    """All processes below one."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found, new = set(), {process}
    while new:
        found |= new
        new = {child for child, parent in parents.items() if parent in found} - found
    return found - {process}


def is_idle_agent(process: int) -> bool:
    """Ray's agents, which end by themselves a minute after a Ray that was killed."""
    with contextlib.suppress(OSError):
        return b"Agent" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False


def listening(processes: set[int]) -> set[str]:
    """Addresses, as /proc/net writes them, that any of these processes listens on."""
    inodes = set()
    for process in processes:
        for link in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(link.readlink())
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A" and columns[9] in inodes:
                found.add(columns[1].rpartition(":")[0])
    return found


def started(*flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *flags], stdout=subprocess.PIPE, text=True)


def lines_until(process: subprocess.Popen[str], start: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.startswith(start):
            return lines
    raise AssertionError(lines)


def test_a_local_ray_listens_on_loopback_only_and_dies_with_its_coordinator(
    alive: Callable[[int], bool], wait_until: Callable[..., None]
) -> None:
    with started() as process:
        lines = lines_until(process, "long")
        assert "modules True False" in lines  # the actor has no torch that nobody asked for
        below = {one for one in descendants(process.pid) if not is_idle_agent(one)}
        addresses = listening({process.pid, *descendants(process.pid)})
        loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
        assert addresses
        assert addresses <= loopback
        process.kill()
    wait_until(lambda: not any(map(alive, below)))


def test_a_local_ray_is_gone_after_leaving(
    alive: Callable[[int], bool], wait_until: Callable[..., None]
) -> None:
    home = Path.home() / ".ray" / "auth_token"
    before = home.exists()
    with started("leave") as process:
        lines_until(process, "process True")
        below = descendants(process.pid)
        assert process.wait() == 0
    wait_until(lambda: not any(map(alive, below)))
    assert home.exists() == before
