"""One test for each line of what the server promises about safety."""

from __future__ import annotations

import asyncio
import hmac
import pickle
import re
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient

from multimodal_search.cli import main
from multimodal_search.errors import SettingsError
from multimodal_search.search import Searcher
from multimodal_search.serving import limits
from multimodal_search.serving.problems import without_paths
from multimodal_search.serving.security import Keeper, is_loopback
from multimodal_search.serving.server import with_token
from multimodal_search.settings.serving import ServeSettings
from multimodal_search.types import Item

Open = Callable[..., TestClient]
TOKEN = "0123456789abcdef-secret"
RAIN = {"parts": [{"text": "rain"}], "k": 1}


# Bound to loopback unless asked; beyond loopback a token, or exit code 2


def test_it_listens_on_this_machine_alone_unless_asked() -> None:
    assert ServeSettings(bundle=Path("x")).host == "127.0.0.1"
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("192.168.0.7")


@pytest.mark.parametrize("flags", [["--host", "0.0.0.0"], ["--host", "::"], ["--host", "example.org"]])
def test_open_to_others_without_a_token_it_exits_with_2(
    bundle: Path, flags: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MULTIMODAL_SEARCH_TOKEN", raising=False)
    assert main(["serve", "--bundle", str(bundle), *flags]) == 2
    said = capsys.readouterr().err
    assert "there is no token" in said
    assert "MULTIMODAL_SEARCH_TOKEN" in said


def test_a_token_comes_from_the_environment_and_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    open_to_all = ServeSettings(bundle=Path("x"), host="0.0.0.0")
    monkeypatch.setenv("MULTIMODAL_SEARCH_TOKEN", TOKEN)
    assert with_token(open_to_all).token == TOKEN
    monkeypatch.setenv("MULTIMODAL_SEARCH_TOKEN", "short")
    with pytest.raises(SettingsError, match="5 characters"):
        with_token(open_to_all)


# Token: header, cookie, constant time


def test_without_the_token_nothing_is_told(open_client: Open) -> None:
    client = open_client(token=TOKEN)
    schema_paths = ["/config", "/map", "/map/ids", "/scenarios", "/metrics", "/docs", "/openapi.json"]
    for path in [*schema_paths, "/moments/sample-00001", "/thumbnails/sample-00001", "/no/such/path"]:
        answer = client.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
    assert client.post("/search", json=RAIN).status_code == 401
    assert client.get("/healthz").status_code == 200
    assert client.get("/").status_code in (200, 404)  # the page with the form


@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer x", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer \xff"]
)
def test_a_wrong_token_is_refused(open_client: Open, shown: str) -> None:
    client = open_client(token=TOKEN)
    assert client.get("/config", headers={"Authorization": shown.encode("latin-1")}).status_code == 401


def test_the_header_opens(open_client: Open) -> None:
    client = open_client(token=TOKEN)
    assert client.get("/config", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_form_gives_a_cookie_that_opens_and_is_not_the_token(open_client: Open) -> None:
    client = open_client(token=TOKEN)
    assert client.post("/login", json={"token": "wrong token, wrong"}).status_code == 401
    answer = client.post("/login", json={"token": TOKEN})
    cookie = answer.headers["set-cookie"]
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert client.get("/config").status_code == 200
    client.cookies.clear()
    client.cookies.set("multimodal_search", "0" * 64)
    assert client.get("/config").status_code == 401


def test_guessing_tokens_is_slow(open_client: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multimodal_search.serving.page_routes._LOGINS_AT_ONCE", 3.0)
    client = open_client(token=TOKEN)
    statuses = [client.post("/login", json={"token": f"guess number {n}"}).status_code for n in range(5)]
    assert statuses == [401, 401, 401, 429, 429]


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    own = hmac.compare_digest
    monkeypatch.setattr(
        "multimodal_search.serving.security.hmac.compare_digest",
        lambda one, other: compared.append((one, other)) or own(one, other),
    )
    keeper = Keeper(TOKEN)
    assert keeper.knows(TOKEN)
    assert not keeper.knows("x")
    assert [len(one) for pair in compared for one in pair] == [32] * 4  # whatever is given: of one length


# Paths come from the index


@pytest.mark.parametrize(
    "path",
    [
        "../bundle.json",
        "..%2f..%2fetc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "%252e%252e%252fetc%252fpasswd",
        "/etc/passwd",
        "//etc/passwd",
        "file:///etc/passwd",
        "s3://bucket/key",
        "..\\..\\windows\\win.ini",
        "sample-00001%00.jpg",
    ],
)
def test_no_request_names_a_path(client: TestClient, path: str) -> None:
    for route in ("thumbnails", "images", "signals", "moments", "page", "map/column", "scenarios"):
        for method in ("GET", "DELETE", "POST"):
            answer = client.request(method, f"/{route}/{path}")
            assert answer.status_code in (404, 405, 422), (method, route)
            assert "root:" not in answer.text


@pytest.mark.parametrize("form", ["dots", "absolute"])
def test_an_index_that_leads_out_of_the_root_is_not_followed(
    open_client: Open, bundle: Path, tmp_path: Path, with_moments: Callable[..., Path], form: str
) -> None:
    Image.new("RGB", (50, 50), "red").save(tmp_path / "secret.jpg")
    (tmp_path / "root").mkdir()
    image_path = "../secret.jpg" if form == "dots" else str(tmp_path / "secret.jpg")
    items = [Item(id="m0", scene_id="s", image_path=image_path), Item(id="m1", scene_id="s")]
    folder = with_moments(bundle, tmp_path / "led", items)
    client = open_client(folder, images_root=str(tmp_path / "root"))
    for route in ("thumbnails", "images"):
        assert client.get(f"/{route}/m0").status_code == 404


def test_links_out_of_the_root_are_not_followed(open_client: Open, tmp_path: Path) -> None:
    images = tmp_path / "root/images"
    images.mkdir(parents=True)
    Image.new("RGB", (50, 50), "red").save(tmp_path / "secret.jpg")
    (images / "sample-00001.jpg").symlink_to(tmp_path / "secret.jpg")
    Image.new("RGB", (50, 50), "blue").save(images / "other.jpg")
    (images / "sample-00002.jpg").symlink_to(images / "other.jpg")
    client = open_client(images_root=str(tmp_path / "root"))
    assert client.get("/thumbnails/sample-00001").status_code == 404
    assert client.get("/thumbnails/sample-00002").status_code == 200


# Uploads: size, pixel count, type by content, time


def test_a_large_upload_is_refused(open_client: Open) -> None:
    client = open_client(max_upload_mb=0.1)
    for size in (100_001, 3_000_000):
        answer = client.post("/uploads", files={"file": b"\0" * size})
        assert answer.status_code == 413
        assert set(answer.json()) == {"error", "remedy"}


def test_a_body_that_hides_its_size_is_refused(open_client: Open) -> None:
    client = open_client(max_upload_mb=0.1)

    def drip() -> Any:
        for _ in range(30):
            yield b" " * 100_000

    answer = client.post("/search", content=drip(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_a_decompression_bomb_is_refused(client: TestClient, tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    content = (tmp_path / "bomb.png").read_bytes()
    assert len(content) < 200_000
    started = time.monotonic()
    answer = client.post("/uploads", files={"file": content})
    assert answer.status_code == 422
    assert "bomb" in answer.json()["error"]
    assert time.monotonic() - started < 5


def test_the_type_is_told_by_the_content(client: TestClient, bundle: Path) -> None:
    frame = (Searcher.open(bundle, "cpu").root / "images/sample-00001.jpg").read_bytes()
    assert client.post("/uploads", files={"file": ("x.csv", frame, "text/csv")}).json()["kind"] == "image"
    for content in (b"", b"MZ\x90\0", b"%PDF-1.7", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\0" * 99):
        answer = client.post("/uploads", files={"file": ("x.jpg", content, "image/jpeg")})
        assert answer.status_code == 422, content


def test_a_slow_upload_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.1)

    async def drip() -> dict[str, Any]:
        await asyncio.sleep(0.03)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def read() -> int:
        body = limits._Body(drip, most_bytes=100)
        while True:
            await body.receive()

    with pytest.raises(HTTPException) as caught:
        asyncio.run(read())
    assert caught.value.status_code == 408


# Series: .npy without pickles, CSV


class _Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("/tmp/multimodal-search-was-here"),))


def test_a_pickle_is_never_opened(client: TestClient, tmp_path: Path) -> None:
    np.save(tmp_path / "trap.npy", np.array([_Trap()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "trap.npz", np.zeros((5, 6)))
    for content in (
        (tmp_path / "trap.npy").read_bytes(),
        (tmp_path / "trap.npz").read_bytes(),
        pickle.dumps(_Trap()),
    ):
        answer = client.post("/uploads", files={"file": ("signal.npy", content)})
        assert answer.status_code == 422
    assert not Path("/tmp/multimodal-search-was-here").exists()


def test_odd_signals_are_refused(client: TestClient) -> None:
    huge = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 7), }"
    for content in (
        huge + b" " * 20 + b"\n",
        b"\x93NUMPY",
        b"a,b\n1,2\n",
        b"speed_mps\n",
        b"speed_mps,speed_mps\n1,2\n",
        b"speed_mps,brake\n1\n2,3,4\n",
        b"speed_mps\nfast\n",
        b"1,2,3\n4,5,6\n",
        b"timestamp_seconds,speed_mps\n0,1\n1e9,2\n",
    ):
        assert client.post("/uploads", files={"file": content}).status_code == 422, content


# Headers, content security policy, HTML in descriptions


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/config", "/nothing", "/thumbnails/sample-00001", "/docs"]
)
def test_every_answer_has_the_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    policy = dict(one.strip().partition(" ")[::2] for one in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "server" not in headers


def test_a_refusal_has_the_headers_too(open_client: Open) -> None:
    answer = open_client(token=TOKEN).get("/config")
    assert answer.status_code == 401
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_no_page_has_an_inline_script(client: TestClient) -> None:
    for path in ("/", "/docs"):
        text = client.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert not re.search(r"\son\w+\s*=", text)


def test_descriptions_stay_text(open_client: Open, drive: Path) -> None:
    answer = open_client(drive).post("/search", json={"parts": [{"text": "left"}], "k": 1})
    assert answer.headers["content-type"] == "application/json"
    assert "<script>alert" in answer.json()["hits"][0]["text"]


# CORS, other origins, other names


def test_other_origins_may_not_ask_by_default(client: TestClient) -> None:
    there = {"Origin": "https://evil.example"}
    assert "access-control-allow-origin" not in client.get("/config", headers=there).headers
    assert client.post("/search", json=RAIN, headers=there).status_code == 403
    assert client.post("/search", json=RAIN, headers={"Origin": "http://127.0.0.1"}).status_code == 200


def test_a_named_origin_may_ask(open_client: Open) -> None:
    client = open_client(cors_origin=["https://good.example"])
    here = {"Origin": "https://good.example"}
    answer = client.post("/search", json=RAIN, headers=here)
    assert answer.headers["access-control-allow-origin"] == "https://good.example"
    evil = client.get("/config", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in evil.headers


def test_a_foreign_name_for_this_machine_is_refused(client: TestClient) -> None:
    assert client.get("/config", headers={"Host": "evil.example:8000"}).status_code == 403
    assert client.get("/config", headers={"Host": "localhost:8000"}).status_code == 200


# Size, k, rate, concurrency


def test_k_is_bounded(client: TestClient) -> None:
    assert client.post("/search", json={**RAIN, "k": 1000}).status_code == 200
    assert client.post("/search", json={**RAIN, "k": 1001}).status_code == 422


def test_the_rate_is_bounded(open_client: Open) -> None:
    client = open_client(rate_per_second=1.0)
    answers = [client.get("/config") for _ in range(12)]
    assert [one.status_code for one in answers].count(200) in (8, 9)
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_the_rate_of_one_client_does_not_bound_another() -> None:
    rate = limits.Rate(1.0, 2.0)
    assert [rate.wait_seconds("a") > 0 for _ in range(3)] == [False, False, True]
    assert rate.wait_seconds("b") == 0
    for number in range(30_000):
        rate.wait_seconds(f"client {number}")
    assert len(rate._clients) <= 10_000


def test_requests_at_work_are_bounded(open_client: Open) -> None:
    client = open_client(concurrency=1)
    inner = client.app
    while not hasattr(inner, "_working"):
        inner = inner._app  # type: ignore[union-attr]
    inner._working = 1
    assert client.get("/config").status_code == 429
    inner._working = 0
    assert client.get("/config").status_code == 200


# Errors


def test_errors_show_no_path_and_no_stack(
    open_client: Open, own_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_client(own_bundle)
    (own_bundle / "scenarios").mkdir(exist_ok=True)
    (own_bundle / "scenarios/broken-0123.json").write_text("{")
    assert client.get("/scenarios").json() == []
    answers = [client.post("/search", json={"parts": [{"id": "/etc/passwd"}]})]

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"cannot read {own_bundle}/vectors")

    monkeypatch.setattr("multimodal_search.serving.describing.moments", broken)
    answers.append(client.post("/search", json=RAIN))
    assert answers[-1].status_code == 500
    shutil.rmtree(own_bundle / "scenarios")
    (own_bundle / "scenarios").write_text("in the way")
    answers.append(client.post("/scenarios", json={"name": "x", "up": ["sample-00001"]}))
    assert answers[-1].status_code == 503
    for answer in answers:
        assert answer.status_code >= 400
        assert set(answer.json()) == {"error", "remedy"}
        assert str(own_bundle) not in answer.text
        assert "/vectors" not in answer.text
        assert "Traceback" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "text", ["at /home/me/data/x.npy", "'/a/b'", "s3://bucket/key/x", r"C:\data\x", "~/data/x", "(/a/b/c)"]
)
def test_paths_are_taken_out_of_messages(text: str) -> None:
    assert "…" in without_paths(text)
    assert not re.search(r"data|/a/b|key", without_paths(text))


@pytest.mark.parametrize("text", ["scene-1/123", "speed in m/s", "and/or", "2/3", "weather == 'a/b'"])
def test_what_is_no_path_stays(text: str) -> None:
    assert without_paths(text) == text


def test_the_port_is_taken(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert main(["serve", "--bundle", str(bundle), "--port", port]) == 2
    assert "another --port" in capsys.readouterr().err
