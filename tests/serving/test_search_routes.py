"""What a client can ask, and what it gets."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from multimodal_search.search import Searcher


def ask(client: TestClient, *parts: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    answer = client.post("/search", json={"parts": list(parts), **more})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["hits"])


def ids(hits: list[dict[str, Any]]) -> list[str]:
    return [one["id"] for one in hits]


@pytest.fixture
def root(bundle: Path) -> Path:
    return Searcher.open(bundle, "cpu").root


def test_words_find_what_the_library_finds(client: TestClient, bundle: Path) -> None:
    hits = ask(client, {"text": "rain at night"}, k=7)
    own = Searcher.open(bundle, "cpu").search(text="rain at night", k=7)
    assert ids(hits) == [one.id for one in own]
    assert [one["score"] for one in hits] == pytest.approx([one.score for one in own], abs=1e-5)
    first = hits[0]
    assert first["text"] == first["texts"][0]
    assert first["thumbnail_url"] == f"/thumbnails/{first['id']}"
    assert first["metadata"]["weather"]
    assert isinstance(first["x"], float)


def test_the_steps_have_their_times(client: TestClient) -> None:
    took = client.post("/search", json={"parts": [{"text": "rain"}]}).json()["took_ms"]
    assert set(took) == {"encode", "search", "describe", "total"}


def test_not_words_lead_away(client: TestClient) -> None:
    plain = ask(client, {"text": "night"}, k=30)
    away = ask(client, {"text": "night"}, {"text": "rain", "weight": -0.8}, k=30)
    place = {one["id"]: number for number, one in enumerate(away)}
    rainy = [one["id"] for one in plain if one["metadata"]["weather"] == "rain"]
    before = [number for number, one in enumerate(plain) if one["id"] in rainy]
    assert sum(place[one] for one in rainy) > sum(before)


def test_japanese(client: TestClient) -> None:
    weathers = [one["metadata"]["weather"] for one in ask(client, {"text": "雪が降る道"}, k=3)]
    assert "snow" in weathers or weathers


def test_filters_times_and_a_choice_of_moments(client: TestClient) -> None:
    everything = ask(client, {"text": "car"}, k=1000)
    rainy = ask(client, {"text": "car"}, where="weather == 'rain'", k=1000)
    assert {one["metadata"]["weather"] for one in rainy} == {"rain"}
    some = ids(everything)[5:9]
    assert sorted(ids(ask(client, {"text": "car"}, within=some, k=1000))) == sorted(some)
    assert ask(client, {"text": "car"}, within=[], k=10) == []
    assert ask(client, {"text": "car"}, within=["unknown"], k=10) == []
    middle = sorted(one["timestamp_us"] for one in everything)[15]
    late = ask(client, {"text": "car"}, after=middle, k=1000)
    assert late
    assert all(one["timestamp_us"] >= middle for one in late)


def test_a_moment_finds_itself_and_a_picture_its_moment(client: TestClient, root: Path) -> None:
    assert ids(ask(client, {"id": "sample-00004"}, k=3))[0] == "sample-00004"
    with (root / "images/sample-00004.jpg").open("rb") as file:
        answer = client.post(
            "/search",
            data={"query": json.dumps({"parts": [{"image": "@image"}], "k": 3})},
            files={"image": ("x.jpg", file, "image/jpeg")},
        )
    assert ids(answer.json()["hits"])[0] == "sample-00004"


def test_an_upload_serves_several_queries(client: TestClient, root: Path) -> None:
    with (root / "images/sample-00007.jpg").open("rb") as file:
        kept = client.post("/uploads", files={"file": file}).json()
    assert kept["kind"] == "image"
    for weight in (1.0, 0.5):
        part = {"image": kept["upload_id"], "weight": weight}
        assert ids(ask(client, part, k=1)) == ["sample-00007"]


@pytest.mark.parametrize("form", ["npy", "csv", "csv without names"])
def test_signals_find_their_moment(client: TestClient, root: Path, form: str) -> None:
    table = np.load(root / "timeseries/sample-00003.npy")
    names = json.loads((root / "timeseries/channels.json").read_text())["channels"]
    if form == "npy":
        memory = io.BytesIO()
        np.save(memory, table)
        content = memory.getvalue()
    else:
        head = ",".join(names) + "\n" if form == "csv" else ""
        content = (head + "".join(",".join(map(repr, row)) + "\n" for row in table.tolist())).encode()
    kept = client.post("/uploads", files={"file": ("signal", content)})
    assert kept.json()["kind"] == "series", kept.text
    assert ids(ask(client, {"series": kept.json()["upload_id"]}, k=1)) == ["sample-00003"]


def test_a_stretch_of_a_moments_signal(client: TestClient) -> None:
    seconds = client.get("/signals/sample-00003").json()["seconds"]
    stretch = {"id": "sample-00003", "start_seconds": seconds[0], "end_seconds": seconds[-1]}
    assert ids(ask(client, {"series_of": stretch}, k=1)) == ["sample-00003"]
    short = {**stretch, "end_seconds": seconds[0] + 3}
    assert len(ask(client, {"series_of": short}, {"text": "braking"}, k=5)) == 5
    for wrong in ({"end_seconds": seconds[0] - 1}, {"start_seconds": 1e6, "end_seconds": 2e6}):
        answer = client.post("/search", json={"parts": [{"series_of": {**stretch, **wrong}}]})
        assert answer.status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"parts": [], "where": "weather =="},
        {"parts": [{"weight": 1}]},
        {"parts": [{"text": "a", "id": "b"}]},
        {"parts": [{"text": ""}]},
        {"parts": [{"text": "  "}]},
        {"parts": [{"text": "a", "weight": 0}]},
        {"parts": [{"text": "a"}], "k": 0},
        {"parts": [{"text": "a"}], "k": 1001},
        {"parts": [{"text": "a"}], "where": "weather ="},
        {"parts": [{"text": "a"}], "where": "no_such_field == 1"},
        {"parts": [{"text": "a"}], "after": "yesterday"},
        {"parts": [{"text": "a"}], "modality": "smell"},
        {"parts": [{"text": "a"}], "unknown": 1},
        {"parts": [{"id": "no such moment"}]},
        {"parts": [{"image": "no such upload"}]},
        {"parts": [{"text": "a"}, {"text": "a", "weight": -1}]},
    ],
)
def test_what_means_nothing_is_said(client: TestClient, body: dict[str, Any]) -> None:
    answer = client.post("/search", json=body)
    assert answer.status_code == 422
    assert len(answer.json()["error"]) > 10


def test_half_a_character_is_refused(client: TestClient) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post("/search", content=b'{"parts":[{"text":"\\ud800"}]}', headers=headers)
    assert answer.status_code == 422


def test_another_content_type_is_refused(client: TestClient) -> None:
    assert client.post("/search", content=b"x", headers={"content-type": "text/plain"}).status_code == 415


def test_exports(client: TestClient) -> None:
    query = {"parts": [{"text": "rain"}], "k": 5}
    hits = ids(ask(client, *query["parts"], k=5))  # type: ignore[misc]

    def export(format: str, body: dict[str, Any] = query) -> bytes:
        answer = client.post(f"/export?format={format}", json=body)
        assert answer.status_code == 200, answer.text
        assert "attachment" in answer.headers["content-disposition"]
        return answer.content

    assert [row["id"] for row in csv.DictReader(io.StringIO(export("csv").decode()))] == hits
    assert [row["id"] for row in json.loads(export("json"))] == hits
    assert pq.read_table(io.BytesIO(export("parquet")))["id"].to_pylist() == hits
    assert export("paths").decode().split() == [f"images/{one}.jpg" for one in hits]
    chosen = {"ids": ["sample-00002", "sample-00001"]}
    assert export("paths", chosen).decode().split() == ["images/sample-00002.jpg", "images/sample-00001.jpg"]
    assert client.post("/export?format=csv", json={"ids": ["nothing"]}).status_code == 422
    assert client.post("/export?format=exe", json=query).status_code == 422


def test_config_tells_what_can_be_asked(client: TestClient) -> None:
    config = client.get("/config").json()
    fields = {one["name"]: one for one in config["fields"]}
    assert config["moments"] == 30
    assert config["modalities"] == ["image", "text", "timeseries"]
    assert "rain" in fields["weather"]["values"]
    assert fields["timestamp_us"]["type"] == "time"
    assert fields["timestamp_us"]["min"] < fields["timestamp_us"]["max"]
    assert {"name": "speed_mps", "unit": "m/s"} in config["channels"]
    assert config["map"] is True


def test_older_clients(client: TestClient, root: Path) -> None:
    by_text = client.post("/predict/text", data={"query": "rain", "top_k": 4}).json()
    assert by_text["query"] == "rain"
    assert len(by_text["results"]) == 4
    wanted = {"scene_id", "image_url", "description", "location", "similarity"}
    assert wanted | {"x", "y", "thumbnail_url", "metadata"} == set(by_text["results"][0])
    with (root / "images/sample-00005.jpg").open("rb") as file:
        by_image = client.post("/predict/image", files={"file": file}, data={"top_k": 2}).json()
    assert by_image["results"][0]["scene_id"] == "sample-00005"
    scenes = client.get("/predict/vector_db").json()
    assert len(scenes) == 30
    assert isinstance(scenes[0]["x"], float)
    assert client.post("/predict/text", data={"top_k": 3}).status_code == 422


def test_the_documentation_is_plain_and_whole(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "<script" not in page
    assert "http" not in page
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in page
    assert client.get("/healthz").json() == {"status": "ok", "moments": 30}
    assert b"multimodal_search_step_seconds" in client.get("/metrics").content


def test_without_parts_the_filters_alone_choose(client: TestClient) -> None:
    snow = ask(client, where="weather == 'snow'", k=1000)
    assert {one["metadata"]["weather"] for one in snow} <= {"snow"}
    assert ids(ask(client, k=3)) == ["sample-00000", "sample-00001", "sample-00002"]
