"""Features of data on S3: a bad object costs one row, an S3 that stumbles costs none."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from multimodal_search.embedding.collect import collect
from multimodal_search.errors import DataError
from multimodal_search.settings import EmbedSettings
from multimodal_search.sources.extracted import ExtractedSource
from multimodal_search.sources.inputs.choice import open_inputs
from multimodal_search.storage import S3Options, configure_s3, content_key
from multimodal_search.types import Modality, MomentFeatures

COUNT = 40


def png(colour: int) -> bytes:
    memory = io.BytesIO()
    Image.new("RGB", (8, 6), (colour, 10, 20)).save(memory, "PNG")
    return memory.getvalue()


def npy(value: float) -> bytes:
    memory = io.BytesIO()
    np.save(memory, np.full((20, 2), value))
    return memory.getvalue()


@pytest.fixture
def world(s3_client: Any, bucket: str, tmp_path: Path) -> tuple[Path, str]:
    """Forty scenes with a picture and a signal each, in a folder and on S3."""
    records = [
        {"scene_id": f"s{i:02d}", "description": f"text {i}", "image_path": f"images/{i:02d}.png"}
        for i in range(COUNT)
    ]
    files = {"scenes_metadata.json": json.dumps(records).encode()}
    for i in range(COUNT):
        files |= {f"images/{i:02d}.png": png(i), f"timeseries/s{i:02d}.npy": npy(i)}
    for name, content in files.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        s3_client.put_object(Bucket=bucket, Key=f"data/{name}", Body=content)
    return tmp_path / "data", f"s3://{bucket}/data"


@pytest.fixture
def encoders(stub_encoder: Any) -> dict[Modality, Any]:
    return {modality: stub_encoder(modality, name=f"stub/{modality}") for modality in Modality}


def run(place: Path | str, encoders: Any, tmp_path: Path, **options: Any) -> MomentFeatures:
    source = ExtractedSource(place)
    options = {"features_dir": tmp_path / "f", "batch_size": 8, "progress": False, **options}
    return collect(source, encoders, **options)


def same(one: MomentFeatures, other: MomentFeatures) -> bool:
    return (
        one.items == other.items
        and one.failures == other.failures
        and all(
            one.sets[kind].ids == other.sets[kind].ids
            and (one.sets[kind].vectors == other.sets[kind].vectors).all()
            for kind in Modality
        )
    )


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_same_rows_to_the_bit(
    world: tuple[Path, str], encoders: Any, tmp_path: Path, num_workers: int
) -> None:
    near, far = (run(place, encoders, tmp_path, num_workers=num_workers) for place in world)
    assert same(near, far)
    assert len(far.sets[Modality.TIMESERIES].ids) == COUNT


def test_a_second_run_encodes_nothing_but_what_was_replaced(
    world: tuple[Path, str], encoders: Any, tmp_path: Path, s3_client: Any, bucket: str
) -> None:
    run(world[1], encoders, tmp_path)
    for encoder in encoders.values():
        encoder.seen.clear()
    run(world[1], encoders, tmp_path)
    assert [encoder.seen for encoder in encoders.values()] == [[], [], []]
    s3_client.put_object(Bucket=bucket, Key="data/images/07.png", Body=png(200))
    s3_client.put_object(Bucket=bucket, Key="data/timeseries/s09.npy", Body=npy(0.5))
    run(world[1], encoders, tmp_path)
    assert encoders[Modality.IMAGE].seen == [np.asarray(Image.open(io.BytesIO(png(200)))).tobytes()]
    assert encoders[Modality.TIMESERIES].seen == [np.full((20, 2), 0.5).tobytes()]
    assert encoders[Modality.TEXT].seen == []


def test_what_is_missing_broken_or_not_sent_is_listed_and_the_rest_is_embedded(
    world: tuple[Path, str], encoders: Any, tmp_path: Path, s3_client: Any, bucket: str, faulty: Any
) -> None:
    for key, body in {
        "images/01.png": b"no picture", "images/02.png": b"", "images/03.png": png(3)[:45],
        "timeseries/s04.npy": npy(4)[:150], "timeseries/s05.npy": b"",
    }.items():  # fmt: skip
        s3_client.put_object(Bucket=bucket, Key=f"data/{key}", Body=body)
    s3_client.delete_object(Bucket=bucket, Key="data/images/00.png")
    s3_client.delete_object(Bucket=bucket, Key="data/timeseries/s06.npy")  # not every scene has a signal
    never = ("images/08.png", "timeseries/s09.npy")
    faulty.choose = lambda method, path: faulty.ERROR if path.endswith(never) else None
    configure_s3(S3Options(endpoint_url=faulty.url, timeout_seconds=2, retries=1))
    source = ExtractedSource(world[1])
    source.items()
    s3_client.delete_object(Bucket=bucket, Key="data/images/07.png")  # after it was listed
    found = collect(source, encoders, features_dir=tmp_path / "f", progress=False)
    told = {one.path: one.reason for one in found.failures}
    for path, reason in {
        "images/00.png": "image missing",
        "images/01.png": "not an image",
        "images/02.png": "empty (0 bytes)",
        "images/03.png": "the image is truncated",
        "timeseries/s04.npy": "truncated",
        "timeseries/s05.npy": "empty (0 bytes)",
        "images/07.png": "the image is missing",
        "images/08.png": "S3 did not send it, after 2 attempts",
        "timeseries/s09.npy": "S3 did not send it, after 2 attempts",
    }.items():
        assert reason in told.pop(path), path
    assert told == {}
    assert len(found.items) == COUNT  # each still has its other input
    assert len(found.sets[Modality.IMAGE].ids) == COUNT - 6
    assert len(found.sets[Modality.TIMESERIES].ids) == COUNT - 4


@pytest.mark.parametrize("seed", range(2))
def test_faults_change_nothing(
    world: tuple[Path, str], encoders: Any, tmp_path: Path, faulty: Any, seed: int
) -> None:
    near = run(world[0], encoders, tmp_path)
    configure_s3(S3Options(endpoint_url=faulty.url, timeout_seconds=0.5, retries=8))
    faulty.some({faulty.ERROR: 0.05, faulty.DROP: 0.05, faulty.CUT: 0.05, faulty.SLOW: 0.05}, seed)
    assert same(near, run(world[1], encoders, tmp_path))
    assert sum(faulty.faults.values()) > 10


def test_a_server_that_restarts_meanwhile_is_waited_for(
    world: tuple[Path, str], encoders: Any, tmp_path: Path, faulty: Any
) -> None:
    near = run(world[0], encoders, tmp_path)
    configure_s3(S3Options(endpoint_url=faulty.url, timeout_seconds=2, retries=1, outage_seconds=60))
    source = ExtractedSource(world[1])
    source.items()
    faulty.stop()
    back = threading.Timer(1.0, faulty.start)
    back.start()
    far = collect(source, encoders, features_dir=tmp_path / "f", batch_size=8, progress=False)
    back.join()
    assert same(near, far)


def test_a_server_that_stays_away_ends_it_plainly(
    world: tuple[Path, str], encoders: Any, tmp_path: Path, faulty: Any
) -> None:
    configure_s3(S3Options(endpoint_url=faulty.url, timeout_seconds=1, retries=1, outage_seconds=0.3))
    source = ExtractedSource(world[1])
    source.items()
    faulty.stop()
    with pytest.raises(DataError, match="has not answered for") as caught:
        collect(source, encoders, features_dir=tmp_path / "f", progress=False)
    assert "run the same command again" in str(caught.value)
    with pytest.raises(DataError, match="cannot be reached"):  # and a new run says so at once
        ExtractedSource(world[1]).items()


def test_bulk_embedding_takes_the_same_pictures(world: tuple[Path, str], tmp_path: Path) -> None:
    inputs = [
        open_inputs(EmbedSettings(data_dir=str(place), out="x"), sample_dir=tmp_path) for place in world
    ]
    near, far = (list(one) for one in inputs)
    assert [one.id for one in far] == [one.id for one in near]
    assert inputs[1].root == world[1]
    assert all(one.location == f"{world[1]}/{one.id}" for one in far)
    assert all(one.key == content_key(one.location) for one in far)
