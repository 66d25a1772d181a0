"""S3 that fails now and then, one object that always does, and an S3 that is away for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from multimodal_search import storage
from multimodal_search.errors import DataError, OutputError, SkipInput
from multimodal_search.storage import S3Options, configure_s3, open_store


@pytest.fixture
def objects(s3_client: Any, bucket: str) -> list[str]:
    """The addresses of 40 objects of 20 kB."""
    for number in range(40):
        s3_client.put_object(Bucket=bucket, Key=f"{number}.bin", Body=content(number))
    return [f"s3://{bucket}/{number}.bin" for number in range(40)]


def content(number: int) -> bytes:
    return bytes([number]) * 20_000


def options(faulty: Any, **changes: Any) -> S3Options:
    return replace(S3Options(endpoint_url=faulty.url, timeout_seconds=0.5), **changes)


def always(fault: str, path_end: str = "") -> Callable[[str, str], str | None]:
    return lambda method, path: fault if method != "HEAD" and path.endswith(path_end) else None


@pytest.mark.parametrize("fault", ["ERROR", "SLOW", "DROP", "CUT", "STALL"])
def test_reads_come_whole_through_each_fault(faulty: Any, objects: list[str], fault: str) -> None:
    faulty.stall_seconds = 0.2 if fault == "SLOW" else 0.8
    faulty.some({getattr(faulty, fault): 0.3})
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(storage.read_object, objects))
    assert [one for one, _ in read] == [content(number) for number in range(40)]
    faulty.some({})
    assert [key for _, key in read] == [storage.content_key(url) for url in objects]
    assert faulty.faults[getattr(faulty, fault)] > 3


def test_an_answer_of_an_error_that_breaks_off_is_asked_for_again(faulty: Any, bucket: str) -> None:
    left = [faulty.DROP] * 2
    faulty.choose = lambda method, path: left.pop() if left and method != "HEAD" else None
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(f"s3://{bucket}/none")
    assert faulty.requests["GET"] == 3
    faulty.choose = always(faulty.DROP)
    configure_s3(options(faulty, retries=1))
    with pytest.raises(DataError, match="cannot be reached, after 2 attempts"):
        storage.read_bytes(f"s3://{bucket}/none")


def test_everything_goes_through_a_mixture(faulty: Any, bucket: str) -> None:
    """5 % each of errors, slow answers, dropped, cut and stalled bodies, whatever is done."""
    # a quarter of the attempts fails; the server itself, on a busy machine, is never later than the timeout:
    # a request that is given up and done later on could bring back what was removed meanwhile
    configure_s3(options(faulty, retries=12, timeout_seconds=2.0))
    faulty.stall_seconds = 2.3
    faulty.some(dict.fromkeys((faulty.ERROR, faulty.SLOW, faulty.DROP, faulty.CUT, faulty.STALL), 0.05))
    store = open_store(f"s3://{bucket}/parts")

    def use(number: int) -> bytes:
        store.write(f"part-{number:02d}", content(number))
        assert store.create(f"lock-{number:02d}", b"mine")
        store.remove(f"lock-{number:02d}")
        return store.read(f"part-{number:02d}")

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(use, range(30))) == [content(number) for number in range(30)]
    assert store.names() == {f"part-{number:02d}": 20_000 for number in range(30)}
    assert len(faulty.faults) == 5


@pytest.mark.parametrize("fault", ["ERROR", "DROP", "CUT", "STALL"])
def test_an_object_that_never_comes_is_skipped_and_may_come_again(
    faulty: Any, objects: list[str], fault: str
) -> None:
    configure_s3(options(faulty, retries=2, timeout_seconds=0.2))
    faulty.choose = always(getattr(faulty, fault), "/7.bin")
    with pytest.raises(SkipInput, match="after 3 attempts") as caught:
        storage.read_object(objects[7])
    assert caught.value.again
    assert faulty.requests["GET"] == 3
    assert faulty.requests["HEAD"] == 1  # whether S3 is there at all
    assert storage.read_object(objects[8])[0] == content(8)


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_the_number_of_attempts(faulty: Any, objects: list[str], retries: int) -> None:
    configure_s3(options(faulty, retries=retries))
    for fault in (faulty.ERROR, faulty.CUT):
        faulty.requests.clear()
        faulty.choose = always(fault)
        with pytest.raises(SkipInput):
            storage.read_object(objects[0])
        with pytest.raises(DataError):
            storage.read_bytes(objects[0])
        assert faulty.requests["GET"] == 2 * (retries + 1)
    faulty.choose = always(faulty.ERROR)
    with pytest.raises(OutputError):
        open_store(objects[0]).write("x", b"x")
    assert faulty.requests["PUT"] == retries + 1
    faulty.requests.clear()
    with pytest.raises(DataError):
        next(storage.list_objects(storage.parse_s3(objects[0])))
    assert faulty.requests["GET"] == retries + 1


def test_the_timeout_bounds_an_attempt(faulty: Any, objects: list[str]) -> None:
    faulty.stall_seconds = 3.0
    for fault in (faulty.STALL, faulty.SLOW):  # without the next bytes, and without any
        configure_s3(options(faulty, retries=1, timeout_seconds=0.3))
        faulty.choose = always(fault)
        begin = time.monotonic()
        with pytest.raises(SkipInput):
            storage.read_object(objects[0])
        assert 0.6 <= time.monotonic() - begin < 2 * faulty.stall_seconds


def test_what_is_wrong_with_one_object(faulty: Any, objects: list[str], s3_client: Any, bucket: str) -> None:
    with pytest.raises(FileNotFoundError):
        storage.read_object(f"s3://{bucket}/none")
    with pytest.raises(SkipInput, match="names no object") as caught:
        storage.read_object(f"s3://{bucket}/")
    assert not caught.value.again
    with pytest.raises(SkipInput, match="too large"):
        storage.read_object(objects[0], max_bytes=19_999)
    assert storage.read_object(objects[0], max_bytes=20_000)[0] == content(0)
    assert faulty.requests["GET"] == 3  # none of these is asked for again


def test_an_outage_is_waited_for(faulty: Any, objects: list[str], caplog: pytest.LogCaptureFixture) -> None:
    configure_s3(options(faulty, retries=1, outage_seconds=10.0))
    assert storage.read_object(objects[0])[0] == content(0)
    with faulty.away(2.0), ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda url: storage.read_object(url)[0], objects))
        open_store(objects[0]).write("x", b"x")
    assert read == [content(number) for number in range(40)]
    assert caplog.text.count("S3 does not answer") == 1  # one thread asks, the others wait
    assert caplog.text.count("S3 answers again") == 1


def test_a_listing_waits_for_its_next_page(
    faulty: Any, objects: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_s3(options(faulty, retries=1, outage_seconds=10.0))
    monkeypatch.setattr(storage.s3, "_PAGE_KEYS", 7)
    listed = storage.list_objects(storage.parse_s3(objects[0])._replace(key=""))
    first = next(listed)
    with faulty.away(1.5):
        assert len({first.key, *(one.key for one in listed)}) == 40


def test_an_outage_without_end(faulty: Any, objects: list[str]) -> None:
    configure_s3(options(faulty, retries=1, outage_seconds=1.0))
    faulty.stop()
    begin = time.monotonic()

    def read(url: str) -> str:
        with pytest.raises(DataError, match="has not answered for 1 s") as caught:
            storage.read_object(url)
        return str(caught.value)

    with ThreadPoolExecutor(8) as pool:  # and not a second for each of the 40
        told = list(pool.map(read, objects))
    assert time.monotonic() - begin < 30
    assert "run the same command again" in told[0]
    with pytest.raises(OutputError, match="has not answered"):
        open_store(objects[0]).write("x", b"x")
    faulty.start()
    assert storage.read_object(objects[0])[0] == content(0)


def test_what_somebody_waits_for_does_not_wait(faulty: Any, objects: list[str], bucket: str) -> None:
    configure_s3(options(faulty, retries=1, outage_seconds=60.0))
    faulty.stop()
    begin = time.monotonic()
    actions: list[Callable[[], object]] = [
        lambda: storage.ensure_bucket(f"s3://{bucket}", kind=DataError),
        lambda: storage.read_bytes(objects[0]),
        lambda: storage.content_key(objects[0]),
        lambda: next(storage.list_objects(storage.parse_s3(objects[0]))),
    ]
    for action in actions:
        with pytest.raises(DataError, match="cannot be reached, after 2 attempts"):
            action()
    assert time.monotonic() - begin < 5


def test_refused_credentials_end_the_run(faulty: Any, objects: list[str]) -> None:
    answers = [("InvalidAccessKeyId", DataError), ("ExpiredToken", DataError), ("NoSuchBucket", DataError),
               ("AccessDenied", SkipInput), ("InvalidObjectState", SkipInput)]  # fmt: skip
    for code, expected in answers:
        body = f"<Error><Code>{code}</Code></Error>".encode()
        server = _Answering(403 if code != "NoSuchBucket" else 404, body)
        configure_s3(options(faulty, endpoint_url=server.url))
        with pytest.raises(expected):
            storage.read_object(objects[0])
        server.stop()


def test_a_client_is_not_shared_with_a_fork(faulty: Any, objects: list[str]) -> None:
    import os

    storage.read_object(objects[0])
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if storage.read_object(objects[1])[0] == content(1) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class _Answering:
    """Gives every request the same answer."""

    def __init__(self, status: int, body: bytes) -> None:
        from http.server import BaseHTTPRequestHandler, HTTPServer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
