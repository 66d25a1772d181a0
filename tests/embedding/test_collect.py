"""From a source to the features of moments: links, cameras, texts, signals, and what is left out."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from multimodal_search.embedding.collect import collect, table_folder
from multimodal_search.embedding.wanted import series_key
from multimodal_search.errors import DataError
from multimodal_search.sources.identity import image_paths
from multimodal_search.tables import open_table
from multimodal_search.types import Failure, Item, Modality, MomentFeatures, Series

FRONT, BACK = "CAM_FRONT", "CAM_BACK"


def picture(folder: Path, name: str, colour: int = 0) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (colour, 10, 20)).save(path)
    return name


def series(values: float) -> Series:
    return Series(np.arange(5) / 10, np.full((5, 2), values), ("speed_mps", "brake"))


@pytest.fixture
def world(tmp_path: Path, stub_source: Any) -> Any:
    """Five moments: two cameras, one camera, a broken picture, no picture, and a signal alone."""
    data = tmp_path / "data"
    both = {BACK: picture(data, "b0.png", 1), FRONT: picture(data, "夜 f0.png", 2)}
    picture(data, "f2.png")
    (data / "f2.png").write_bytes(b"no picture")
    items = [
        Item("s0/0", "s0", image_path="夜 f0.png", images=both, text=(" rain ", "雨", "")),
        Item("s0/1", "s0", image_path=picture(data, "f1.png", 3), text=("rain",)),
        Item("s1/0", "s1", image_path="f2.png", images={FRONT: "f2.png"}, text=("only words left",)),
        Item("s1/1", "s1", image_path="gone.png", text=("sun\nand wind",)),
        Item("s2/0", "s2", text=(), series_path="s2.npy"),
    ]
    signals = {"s0/0": series(1.0), "s1/1": series(2.0), "s2/0": series(3.0), "s0/1": "the wrong rank"}
    source = stub_source(data, items, signals)
    source.failures.append(Failure("line 9", None, "a record without its key"))
    return source


@pytest.fixture
def encoders(stub_encoder: Any) -> dict[Modality, Any]:
    return {modality: stub_encoder(modality, name=f"stub/{modality}") for modality in Modality}


def run(source: Any, encoders: Any, tmp_path: Path, **options: Any) -> MomentFeatures:
    options = {"features_dir": tmp_path / "features", "batch_size": 2, "progress": False, **options}
    return collect(source, encoders, **options)


def linked(features: MomentFeatures, modality: Modality) -> dict[str, list[str]]:
    one = features.sets[modality]
    found: dict[str, list[str]] = {item.id: [] for item in features.items}
    for item, row in zip(one.item_index, one.row_index, strict=True):
        found[features.items[item].id].append(one.ids[row])
    return found


def test_links_of_every_modality(
    world: Any, encoders: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        features = run(world, encoders, tmp_path, cameras=(FRONT, BACK))
    assert [item.id for item in features.items] == ["s0/0", "s0/1", "s1/1", "s2/0"]
    assert "1 of 5 items have no usable input" in caplog.text
    assert linked(features, Modality.IMAGE) == {
        "s0/0": ["夜 f0.png", "b0.png"],
        "s0/1": ["f1.png"],
        "s1/1": [],
        "s2/0": [],
    }
    assert linked(features, Modality.TEXT) == {
        "s0/0": ["rain", "雨"],
        "s0/1": ["rain"],
        "s1/1": ["sun\nand wind"],
        "s2/0": [],
    }
    assert linked(features, Modality.TIMESERIES) == {
        "s0/0": ["s0/0"],
        "s0/1": [],
        "s1/1": ["s1/1"],
        "s2/0": ["s2/0"],
    }
    for modality, one in features.sets.items():
        assert one.vectors.shape == (len(one.ids), 8)
        assert len(set(one.ids)) == len(one.ids)
        assert (np.diff(one.item_index) >= 0).all()
        assert one.item_index.dtype == one.row_index.dtype == np.int64
        assert one.fingerprint == encoders[modality].fingerprint
        assert one.card == encoders[modality].card
    assert features.sets[Modality.IMAGE].primary_rows(4).tolist() == [0, 2, -1, -1]
    assert "only words left" not in features.sets[Modality.TEXT].ids
    assert [(one.id, one.path) for one in features.failures] == [
        ("line 9", None),
        ("s1/1", "gone.png"),
        ("s1/0", "f2.png"),
        ("s0/1", None),
    ]
    assert features.failures[1].reason == "the image is missing"
    assert features.failures[3].reason == "the wrong rank"


def test_vectors_belong_to_their_inputs(world: Any, encoders: Any, tmp_path: Path) -> None:
    features = run(world, encoders, tmp_path, batch_size=1, cameras=("all",))
    images, encoder = features.sets[Modality.IMAGE], encoders[Modality.IMAGE]
    for name, colour in (("夜 f0.png", 2), ("b0.png", 1), ("f1.png", 3)):
        raw = np.asarray(Image.new("RGB", (8, 6), (colour, 10, 20))).tobytes()
        np.testing.assert_array_equal(images.vectors[images.ids.index(name)], encoder.embed([raw])[0])
    signals, encoder = features.sets[Modality.TIMESERIES], encoders[Modality.TIMESERIES]
    raw = series(3.0).values.tobytes()
    np.testing.assert_array_equal(signals.vectors[signals.ids.index("s2/0")], encoder.embed([raw])[0])


def test_second_run_computes_nothing_and_gives_the_same(world: Any, encoders: Any, tmp_path: Path) -> None:
    first = run(world, encoders, tmp_path)
    for encoder in encoders.values():
        encoder.seen.clear()
    second = run(world, encoders, tmp_path)
    assert all(not encoder.seen for encoder in encoders.values())
    assert second.failures == first.failures
    for modality, one in first.sets.items():
        assert second.sets[modality].ids == one.ids
        np.testing.assert_array_equal(second.sets[modality].vectors, one.vectors)


def test_a_whole_table_is_used_without_writing(
    world: Any, encoders: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world._items = world._items[:2]
    world.signals.pop("s0/1")
    run(world, encoders, tmp_path, progress=True)
    assert "image stub/image" in capsys.readouterr().err
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "features").rglob("*") if path.is_file()}
    for path in files:
        if path.name == ".lock":
            path.unlink()
    run(world, encoders, tmp_path, progress=True)
    assert capsys.readouterr().err == ""
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "features").rglob("*") if path.is_file()}
    assert after == {path: when for path, when in files.items() if path.name != ".lock"}


def test_changed_input_is_computed_again(world: Any, encoders: Any, tmp_path: Path) -> None:
    first = run(world, encoders, tmp_path)
    picture(world.root, "f1.png", 200)
    os.utime(world.root / "f1.png", ns=(1, 1))
    picture(world.root, "f2.png", 7)
    world.signals["s0/0"] = series(9.0)
    world._items[1] = replace(world._items[1], text=("snow",))
    for encoder in encoders.values():
        encoder.seen.clear()
    second = run(world, encoders, tmp_path)
    assert len(encoders[Modality.IMAGE].seen) == 2
    assert encoders[Modality.TIMESERIES].seen == [series(9.0).values.tobytes()]
    assert sorted(encoders[Modality.TEXT].seen) == ["only words left", "snow"]
    old, new = first.sets[Modality.IMAGE], second.sets[Modality.IMAGE]
    assert (new.vectors[new.ids.index("f1.png")] != old.vectors[old.ids.index("f1.png")]).any()
    assert "s1/0" in [item.id for item in second.items]


def test_damaged_table_is_repaired_in_passing(
    world: Any, encoders: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = run(world, encoders, tmp_path).sets[Modality.IMAGE].vectors.copy()  # not the map of the victim
    folder = table_folder(tmp_path / "features", encoders[Modality.IMAGE], world)
    victim = next(folder.glob("part-*.npy"))
    victim.write_bytes(victim.read_bytes()[:-1])
    with caplog.at_level(logging.WARNING):
        second = run(world, encoders, tmp_path)
    assert "computed again" in caplog.text
    np.testing.assert_array_equal(second.sets[Modality.IMAGE].vectors, first)


def test_tables_are_kept_apart_by_encoder_and_data(
    world: Any, encoders: Any, tmp_path: Path, stub_encoder: Any, stub_source: Any
) -> None:
    other_encoder = stub_encoder(Modality.IMAGE, name="stub/other")
    other_data = stub_source(tmp_path / "elsewhere" / "data", world.items())
    encoder = encoders[Modality.IMAGE]
    folders = [
        table_folder(tmp_path, encoder, world),
        table_folder(tmp_path, other_encoder, world),
        table_folder(tmp_path, encoder, other_data),
    ]
    assert len(set(folders)) == 3
    assert folders[0].parent.name == f"image-stub-image-{encoder.fingerprint[:12]}"
    run(world, encoders, tmp_path)
    assert open_table(table_folder(tmp_path / "features", encoder, world)).info.source["root"] == str(
        world.root
    )


@pytest.mark.parametrize(
    ("cameras", "expected"),
    [
        ((FRONT,), ["f.png"]),
        ((BACK, FRONT), ["b.png", "f.png"]),
        (("all",), ["f.png", "b.png"]),
        (("CAM_SIDE",), []),
        (("CAM_SIDE", BACK), ["b.png"]),
    ],
)
def test_cameras(cameras: tuple[str, ...], expected: list[str]) -> None:
    item = Item("a", "s", image_path="f.png", images={BACK: "b.png", FRONT: "f.png"})
    assert list(dict.fromkeys(image_paths(item, cameras))) == expected
    assert image_paths(Item("a", "s", image_path="only.png"), cameras) == ["only.png"]
    assert image_paths(Item("a", "s"), cameras) == []


def test_text_alone_keeps_every_item_with_a_text(world: Any, encoders: Any, tmp_path: Path) -> None:
    features = run(world, {Modality.TEXT: encoders[Modality.TEXT]}, tmp_path)
    assert [item.id for item in features.items] == ["s0/0", "s0/1", "s1/0", "s1/1"]
    assert list(features.sets) == [Modality.TEXT]


def test_a_modality_without_a_row_is_left_out_and_said(
    world: Any, encoders: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world.signals.clear()
    with caplog.at_level(logging.WARNING):
        features = run(world, encoders, tmp_path)
    assert set(features.sets) == {Modality.IMAGE, Modality.TEXT}
    assert "no item has a usable timeseries input" in caplog.text


def test_nothing_left_says_why(world: Any, encoders: Any, tmp_path: Path) -> None:
    for path in world.root.iterdir():
        path.unlink()
    del encoders[Modality.TIMESERIES]
    with pytest.raises(DataError, match=r"None of 5 items .*4 x the image is missing") as caught:
        run(world, encoders, tmp_path)
    assert str(world.root) in str(caught.value)


def test_text_that_is_not_unicode_is_skipped(tmp_path: Path, stub_source: Any, encoders: Any) -> None:
    items = [Item("a", "s", text=("fine", "\udc80 broken")), Item("b", "s", text=("x" * 10_000,))]
    features = run(stub_source(tmp_path, items), {Modality.TEXT: encoders[Modality.TEXT]}, tmp_path)
    assert linked(features, Modality.TEXT) == {"a": ["fine"], "b": ["x" * 10_000]}
    assert [one.reason for one in features.failures] == ["its name or text is not valid Unicode"]


def test_many_pictures_with_bad_ones_among_them(tmp_path: Path, stub_source: Any, encoders: Any) -> None:
    data = tmp_path / "data"
    items = [Item(f"{i}", "s", image_path=picture(data, f"{i}.png", i)) for i in range(40)]
    good = (data / "1.png").read_bytes()
    (data / "7.png").write_bytes(good[: len(good) // 2])
    (data / "8.png").write_bytes(b"")
    features = run(stub_source(data, items), {Modality.IMAGE: encoders[Modality.IMAGE]}, tmp_path)
    assert [item.id for item in features.items] == [f"{i}" for i in range(40) if i not in (7, 8)]
    assert [one.id for one in features.failures] == ["7", "8"]
    assert all(one.reason for one in features.failures)
    assert np.isfinite(features.sets[Modality.IMAGE].vectors).all()


def test_series_key_follows_the_values() -> None:
    one = series(1.0)
    assert series_key(one) == series_key(series(1.0))
    others = [
        series(1.5),
        replace(one, timestamps_seconds=one.timestamps_seconds + 1),
        replace(one, channels=("speed_mps", "throttle")),
        Series(one.timestamps_seconds, np.full((5, 2), np.nan), one.channels),
    ]
    assert len({series_key(other) for other in [one, *others]}) == 5


def test_pictures_in_s3(tmp_path: Path, stub_source: Any, encoders: Any, monkeypatch: Any) -> None:
    moto = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        client = boto3.session.Session().client("s3")
        client.create_bucket(Bucket="pictures")
        picture(tmp_path, "a.png", 5)
        client.put_object(Bucket="pictures", Key="x/a.png", Body=(tmp_path / "a.png").read_bytes())
        client.put_object(Bucket="pictures", Key="x/b.png", Body=b"no picture")
        items = [Item(name, "s", image_path=f"s3://pictures/x/{name}.png") for name in ("a", "b", "c")]
        source, encoder = stub_source(tmp_path, items), encoders[Modality.IMAGE]
        features = run(source, {Modality.IMAGE: encoder}, tmp_path, batch_size=1)
        assert [item.id for item in features.items] == ["a"]
        assert {one.id for one in features.failures} == {"b", "c"}
        raw = np.asarray(Image.open(tmp_path / "a.png")).tobytes()
        np.testing.assert_array_equal(features.sets[Modality.IMAGE].vectors, encoder.embed([raw]))
    finally:
        server.stop()


def test_real_pictures_whole_and_broken(
    tmp_path: Path, stub_source: Any, encoders: Any, real_data: Path
) -> None:
    data = real_data / "images_tricky"
    names = sorted(str(path.relative_to(data)) for path in data.rglob("*") if path.is_file())
    source = stub_source(data, [Item(name, "s", image_path=name) for name in names])
    features = run(source, {Modality.IMAGE: encoders[Modality.IMAGE]}, tmp_path)
    used, skipped = {item.id for item in features.items}, {one.id for one in features.failures}
    assert used | skipped == set(names)
    assert not used & skipped
    assert "MANIFEST.json" in skipped
    assert any("truncated" in name for name in skipped)
    assert len(used) > len(names) // 3
    assert not any(one.reason.startswith("cannot be prepared") for one in features.failures)
