"""Tables and single files under an s3:// prefix, on a real HTTP server."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from multimodal_search.errors import BundleError, OutputError
from multimodal_search.storage import default_features_dir, open_store
from multimodal_search.tables import (
    PlannedTable,
    TableInfo,
    open_table,
    part_name,
    read_ids,
    write_planned_part,
    write_single_file,
)
from multimodal_search.tables import lease as lease_module
from multimodal_search.types import EncoderCard, Modality

DIM = 4
INFO = TableInfo("f" * 40, DIM, EncoderCard("stub/x", "none", Modality.IMAGE, DIM))


@pytest.fixture
def prefix(new_bucket: Callable[[], str]) -> str:
    return f"s3://{new_bucket()}/runs/one"


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "EXPIRY_SECONDS", 1.8)


def fill(location: str, parts: int = 5, rows: int = 4) -> list[str]:
    """A run; returns the ids that it computed."""
    computed: list[str] = []
    with PlannedTable(location, INFO) as table:
        for index in range(parts):
            ids = [f"a/{index * rows + i}_view{i}.png" for i in range(rows)]
            name = part_name(ids, [""] * rows)
            if not table.has(name):
                vectors = np.repeat(np.arange(index * rows, (index + 1) * rows)[:, None], DIM, 1)
                part = write_planned_part(
                    table.store, INFO, name, index, ids, ids, vectors.astype(np.float32), {}, []
                )
                table.add(part, 0)
                computed += ids
    return computed


def names(location: str) -> list[str]:
    return list(open_store(location).names())


def test_a_table_on_s3_is_made_resumed_and_read(prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    assert len(fill(prefix)) == 20
    before = names(prefix)
    assert len(before) == 11  # two a part, and the manifest: no lease is left
    assert fill(prefix) == []
    table = open_table(prefix)
    assert table.gather()[:, 0].tolist() == list(range(20))
    assert table.folder.is_relative_to(default_features_dir().parent)
    # damage, and a lost manifest
    store = open_store(prefix)
    victims = [name for name in before if name.endswith(".npy")]
    store.write(victims[0], store.read(victims[0])[:-1])
    content = bytearray(store.read(victims[1]))
    content[-1] ^= 1
    store.write(victims[1], bytes(content))
    assert fill(prefix)
    assert "2 of" not in caplog.text
    assert sum("computed again" in message for message in caplog.messages) == 2
    store.remove("manifest.json")
    with pytest.raises(BundleError, match="no whole feature table"):
        open_table(prefix)
    assert fill(prefix) == []
    assert names(prefix) == before


def test_only_missing_or_damaged_parts_are_fetched(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(prefix)
    table = open_table(prefix)
    read: list[str] = []
    store_type = type(open_store(prefix))
    real = store_type.read
    monkeypatch.setattr(store_type, "read", lambda self, name: (read.append(name), real(self, name))[1])
    open_table(prefix)
    assert read == ["manifest.json"]
    victims = sorted(path.name for path in table.folder.glob("*.npy"))
    (table.folder / victims[0]).unlink()
    (table.folder / victims[1]).write_bytes(b"x")
    read.clear()
    assert open_table(prefix).gather()[:, 0].tolist() == list(range(20))
    assert sorted(read) == ["manifest.json", *victims[:2]]


def test_a_damaged_part_on_s3_is_not_read(prefix: str) -> None:
    fill(prefix)
    store = open_store(prefix)
    victim = next(name for name in store.names() if name.endswith(".npy"))
    content = bytearray(store.read(victim))
    content[-1] ^= 1
    store.write(victim, bytes(content))
    with pytest.raises(BundleError, match="1 of 5 parts are damaged") as caught:
        open_table(prefix)
    assert victim in str(caught.value)
    assert len(open_table(prefix, skip_damaged=True)) == 16


HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[2])
import test_on_s3
from multimodal_search.tables import lease
if len(sys.argv) > 3:
    lease.EXPIRY_SECONDS = float(sys.argv[3])
with test_on_s3.PlannedTable(sys.argv[1], test_on_s3.INFO) as table:
    print("held", flush=True)
    time.sleep(600)
"""


def hold(location: str, *more: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", HOLDER, location, str(Path(__file__).parent), *more]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_run_is_refused_at_once_and_a_dead_one_on_this_machine_is_seen(
    prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    with hold(prefix) as process:
        start = time.monotonic()
        with pytest.raises(OutputError, match=f"process {process.pid} on"):
            fill(prefix)
        assert time.monotonic() - start < 5
        process.send_signal(signal.SIGKILL)
        process.wait()
        with caplog.at_level(logging.WARNING):
            assert len(fill(prefix)) == 20
        assert f"a dead run (process {process.pid} on" in caplog.text
    assert not [name for name in names(prefix) if name.startswith("lease")]


def elsewhere(prefix: str) -> None:
    """As if the lease's holder ran on another machine."""
    store = open_store(prefix)
    (name,) = store.names("lease-")
    record = json.loads(store.read(name))
    store.write(name, json.dumps({**record, "processes_of": "elsewhere", "host": "node-7"}).encode())


@pytest.mark.usefixtures("short_leases")
def test_a_lease_from_another_machine_is_taken_over_when_nobody_renews_it(
    prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    with hold(prefix) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    elsewhere(prefix)
    (name,) = open_store(prefix).names("lease-")
    record = json.loads(open_store(prefix).read(name))
    # ahead, as another machine's clock may be: a test that is held up here still finds it fresh
    fresh = {**record, "renewed_unix_seconds": time.time() + 3600}
    open_store(prefix).write(name, json.dumps(fresh).encode())
    with pytest.raises(OutputError, match=r"node-7.*\n.*\n.*2 seconds after its last renewal"):
        fill(prefix)
    open_store(prefix).write(name, json.dumps({**fresh, "renewed_unix_seconds": time.time() - 2}).encode())
    with caplog.at_level(logging.WARNING):
        assert len(fill(prefix)) == 20
    assert "taken over from a run that died (process" in caplog.text
    assert not [name for name in names(prefix) if name.startswith("lease")]


@pytest.mark.usefixtures("short_leases")
def test_a_live_lease_is_never_taken_over_whatever_the_clocks_say(
    prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hold(prefix, "1.8") as process:
        monkeypatch.setattr(lease_module, "_died_here", lambda record: False)
        now = time.time
        monkeypatch.setattr(lease_module.time, "time", lambda: now() + 3600)
        with pytest.raises(OutputError, match=f"process {process.pid} on"):
            fill(prefix)
        monkeypatch.undo()
        process.kill()


@pytest.mark.usefixtures("short_leases")
def test_a_run_that_lost_its_lease_stops(prefix: str) -> None:
    def work() -> None:
        with PlannedTable(prefix, INFO) as table:
            store = open_store(prefix)
            other = {"process": 7, "host": "node-9", "nonce": "x", "renewed_unix_seconds": time.time()}
            assert store.create("lease-000002.json", json.dumps(other).encode())
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                table.has("part-0000000000000000")
                time.sleep(0.05)

    with pytest.raises(OutputError, match=r"took this output over \(process 7 on node-9\)"):
        work()
    assert [name for name in names(prefix) if name.startswith("lease")] == ["lease-000002.json"]


@pytest.mark.usefixtures("short_leases")
def test_of_many_that_find_a_dead_lease_one_gets_it(prefix: str) -> None:
    with hold(prefix) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    starter = """
import sys
sys.path.insert(0, sys.argv[2])
import test_on_s3
try:
    with test_on_s3.PlannedTable(sys.argv[1], test_on_s3.INFO) as table:
        print("held", flush=True)
        sys.stdin.readline()
except test_on_s3.OutputError as error:
    print("refused", flush=True)
"""
    command = [sys.executable, "-c", starter, prefix, str(Path(__file__).parent)]
    many = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = [one.stdout.readline().strip() for one in many if one.stdout is not None]
    for one in many:
        one.communicate("\n")
    assert sorted(said) == ["held", "refused", "refused", "refused"]


def test_other_peoples_objects_are_refused(prefix: str) -> None:
    open_store(prefix).write("holiday.jpg", b"x")
    with pytest.raises(OutputError, match=r"holiday\.jpg"), PlannedTable(prefix, INFO, overwrite=True):
        pass
    assert names(prefix) == ["holiday.jpg"]


@pytest.mark.parametrize("where", ["s3", "local"])
def test_single_files(prefix: str, tmp_path: Path, where: str, s3_client: Any) -> None:
    fill(f"{prefix}/x.parts")
    with PlannedTable(f"{prefix}/x.parts", INFO) as planned:
        table = planned.table  # parts are fetched as they are needed
    out = prefix if where == "s3" else str(tmp_path)
    for name in ("x.parquet", "x.npy", "x.hdf5"):
        options = {"id_pattern": r"(\d+)_view"} if name.endswith("hdf5") else {}
        assert write_single_file(table, f"{out}/{name}", **options)  # type: ignore[arg-type]
        assert not write_single_file(table, f"{out}/{name}", **options)  # type: ignore[arg-type]
    if where == "s3":
        for name in ("x.parquet", "x.npy", "x.ids.txt", "x.hdf5"):
            (tmp_path / name).write_bytes(open_store(prefix).read(name))
    assert pq.read_table(tmp_path / "x.parquet")["id"].to_pylist() == table.ids
    assert read_ids(tmp_path / "x.ids.txt") == table.ids
    assert np.load(tmp_path / "x.npy")[:, 0].tolist() == list(range(20))
    with h5py.File(tmp_path / "x.hdf5") as file:
        assert file["7_features"][()].tolist() == [7] * DIM
    assert write_single_file(table, f"{out}/views", kind="views")
    assert not write_single_file(table, f"{out}/views", kind="views")
    assert len(open_store(f"{out}/views/a").names()) == 20
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
