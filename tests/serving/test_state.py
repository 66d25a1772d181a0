"""A changed bundle swaps in without a failed request; several queries are encoded as one."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from multimodal_search.errors import DataError
from multimodal_search.search import Searcher
from multimodal_search.search.parts import Part
from multimodal_search.serving.batching import Batcher
from multimodal_search.types import Modality

Open = Callable[..., TestClient]


def replace(folder: Path, by: Path) -> None:
    """As training does: bundle.json goes first and comes last."""
    (folder / "bundle.json").unlink()
    shutil.rmtree(folder / "vectors")
    shutil.copytree(by / "vectors", folder / "vectors")
    for name in ("scenes_with_umap.json", "text_projector.pt", "image_projector.pt"):
        shutil.copy(by / name, folder / name)
    shutil.copy(by / "bundle.json", folder / "new.json")
    (folder / "new.json").replace(folder / "bundle.json")


def test_a_new_bundle_swaps_in_without_a_failed_request(
    open_client: Open, own_bundle: Path, drive: Path
) -> None:
    client = open_client(own_bundle)
    seen: list[tuple[int, str]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answer = client.post("/search", json={"parts": [{"text": "left"}], "k": 1})
            hits = answer.json().get("hits", [])
            seen.append((answer.status_code, hits[0]["id"][:5] if hits else answer.text))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for one in threads:
        one.start()
    try:
        ends = time.monotonic() + 60
        for wanted, by in (("drive", drive), ("sampl", None)):
            if by is None:
                by = Path(str(own_bundle) + "-before")
            else:
                shutil.copytree(own_bundle, Path(str(own_bundle) + "-before"))
            replace(own_bundle, by)
            count = len(seen)
            while time.monotonic() < ends and wanted not in {name for _, name in seen[count:]}:
                time.sleep(0.05)
    finally:
        stop.set()
        for one in threads:
            one.join()
    assert {status for status, _ in seen} == {200}
    names = [name for _, name in seen]
    assert set(names) == {"sampl", "drive"}
    assert names[0] == "sampl"
    # not the last of `seen`: a slower thread's answer from before may come after
    answer = client.post("/search", json={"parts": [{"text": "left"}], "k": 1})
    assert answer.json()["hits"][0]["id"].startswith("sampl")


def test_a_broken_new_bundle_leaves_the_old_one(open_client: Open, own_bundle: Path) -> None:
    client = open_client(own_bundle)
    served = client.services.served  # type: ignore[attr-defined]
    (own_bundle / "bundle.json").write_text("{")
    assert not served.refresh()
    assert client.post("/search", json={"parts": [{"text": "left"}]}).status_code == 200
    assert b'reloads_total{done="no"} 1.0' in client.get("/metrics").content
    (own_bundle / "bundle.json").unlink()
    assert not served.refresh()
    assert client.get("/healthz").status_code == 200


def test_a_swap_shows_in_the_map_and_the_config(open_client: Open, own_bundle: Path, drive: Path) -> None:
    client = open_client(own_bundle)
    assert client.get("/config").json()["moments"] == 30
    replace(own_bundle, drive)
    ends = time.monotonic() + 30
    while client.get("/config").json()["moments"] != 24 and time.monotonic() < ends:
        time.sleep(0.1)
    assert len(client.get("/map/ids").json()) == 24


def test_together_or_alone_the_vectors_are_the_same(bundle: Path) -> None:
    searcher = Searcher.open(bundle, "cpu")
    passes: list[int] = []
    batcher = Batcher(searcher.common, passes.append)
    words = [
        f"{one} {other}" for one in ("rain", "snow", "雨") for other in ("night", "truck", "by day", "左折")
    ]
    alone = [searcher.common.vector(Part("text", one)) for one in words]
    own = searcher.common.vectors
    go = threading.Event()

    def slow(modality: Modality, ready: Any) -> Any:
        go.wait()  # the others arrive while the first is in the encoder
        return own(modality, ready)

    searcher.common.vectors = slow  # type: ignore[method-assign]
    found: dict[int, Any] = {}

    def ask(number: int) -> None:
        found[number] = batcher.vector(Part("text", words[number]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(words))]
    for one in threads:
        one.start()
    time.sleep(0.5)
    go.set()
    for one in threads:
        one.join()
    assert sum(passes) == len(words)
    assert len(passes) < len(words)
    for number, vector in enumerate(alone):
        np.testing.assert_allclose(found[number], vector, atol=1e-5)


def test_what_goes_wrong_together_is_told_to_each(bundle: Path) -> None:
    searcher = Searcher.open(bundle, "cpu")
    batcher = Batcher(searcher.common)

    def broken(*_: object) -> None:
        raise DataError("no")

    searcher.common.vectors = broken  # type: ignore[method-assign, assignment]
    for _ in range(2):
        with pytest.raises(DataError):
            batcher.vector(Part("text", "rain"))


def test_vectors_are_those_of_the_file(bundle: Path) -> None:
    """Processes that serve one bundle share its pages; none makes a copy."""
    rows = Searcher.open(bundle, "cpu").rows(Modality.IMAGE)
    block = rows._scanner._block(np.arange(len(rows)), "cosine")
    base: Any = block
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
