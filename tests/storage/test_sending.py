"""Folders copied to S3: only what changed, compared by checksum, and never half a copy that looks whole."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from multimodal_search import storage
from multimodal_search.errors import BundleError, OutputError
from multimodal_search.storage import S3Options, configure_s3, s3_client, sending
from multimodal_search.storage.checksums import FileSum, Sums, parse_sums
from tests.storage.conftest import FILES, fill


def breaking(*_: object) -> None:
    raise KeyboardInterrupt


def there(client: Any, bucket: str) -> dict[str, bytes]:
    """Key -> content of all objects."""
    listed = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    keys = [one["Key"] for one in listed]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def test_everything_arrives_under_checksums_and_a_marker(
    folder: Path, s3_client: Any, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    fill(
        folder, {"vectors/.lock": b"", ".bundle.partial/x": b"", ".a.123.tmp": b"", ".journal.jsonl": b"kept"}
    )
    files = {**FILES, ".journal.jsonl": b"kept"}
    with caplog.at_level("INFO", logger="multimodal_search"):
        assert storage.send_folder(folder, f"s3://{bucket}/runs/日本 1/", "bundle.json").files == len(files)
    assert "sending 5 of 5 files (0.0 MB)" in caplog.text
    assert f"sent to s3://{bucket}/runs/日本 1/" in caplog.text
    sent = {key.removeprefix("runs/日本 1/"): content for key, content in there(s3_client, bucket).items()}
    sums = json.loads(sent.pop("checksums.json"))
    assert sent == files
    assert sums == {
        "format_version": 1,
        "whole": True,
        "files": {
            name: {"size_bytes": len(one), "sha256": hashlib.sha256(one).hexdigest()}
            for name, one in files.items()
        },
    }


def test_only_what_changed_is_sent(folder: Path, faulty: Any, s3_client: Any, bucket: str) -> None:
    url = f"s3://{bucket}"
    s3_client.put_object(Bucket=bucket, Key="notes.txt", Body=b"somebody's own")
    storage.send_folder(folder, url, "bundle.json")
    faulty.requests.clear()
    assert storage.send_folder(folder, url, "bundle.json").files == 0
    assert set(faulty.requests) == {"GET"}

    (folder / "zz.txt").unlink()
    fill(folder, {"vectors/part-1.npy": b"other", "new": b"new"})
    faulty.requests.clear()
    assert storage.send_folder(folder, url, "bundle.json").files == 3  # two files and the marker
    assert faulty.requests["PUT"] == 5  # and the checksums, before and after
    sent = there(s3_client, bucket)
    assert "zz.txt" not in sent
    assert sent["notes.txt"] == b"somebody's own"
    assert sent["vectors/part-1.npy"] == b"other"


def test_s3_is_given_each_files_sha256(folder: Path, s3: str, bucket: str) -> None:
    seen: dict[str, str] = {}

    def note(request: Any, **_: Any) -> None:
        seen[request.url.rpartition("/")[2]] = request.headers.get("x-amz-checksum-sha256", b"").decode()

    fill(folder, {"large": b"l" * (9 << 20)})
    s3_client.client().meta.events.register("before-send.s3.PutObject", note)
    storage.send_folder(folder, f"s3://{bucket}", "bundle.json")
    for name in ("bundle.json", "part-1.npy", "zz.txt", "empty"):
        assert seen[name], name
    large = s3_client.client().head_object(Bucket=bucket, Key="large", ChecksumMode="ENABLED")
    assert large["ChecksumSHA256"]


def test_a_store_without_checksums_may_be_used(
    folder: Path, s3: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    configure_s3(S3Options())
    fill(folder, {"large": b"l" * (9 << 20)})
    assert storage.send_folder(folder, f"s3://{bucket}", "bundle.json").files == 5
    large = s3_client.client().head_object(Bucket=bucket, Key="large", ChecksumMode="ENABLED")
    assert "ChecksumSHA256" not in large


def test_what_breaks_off_leaves_no_marker_and_goes_on(
    folder: Path, s3_client: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"s3://{bucket}/a"
    storage.send_folder(folder, url, "bundle.json")
    fill(folder, {"zz.txt": b"changed", "bundle.json": b'{"a": 2}'})
    real = storage.s3.write_file

    def breaks(address: Any, path: Path, **options: Any) -> None:
        real(address, path, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(storage.s3, "write_file", breaks)
    with pytest.raises(KeyboardInterrupt):
        storage.send_folder(folder, url, "bundle.json")
    left = there(s3_client, bucket)
    assert "a/bundle.json" not in left
    listed = parse_sums(left["a/checksums.json"], "")
    assert not listed.whole
    assert set(listed.files) == {"empty", "vectors/part-1.npy"}
    with pytest.raises(BundleError, match=r"there is no bundle\.json"):
        storage.fetch_folder(url, "bundle.json")
    monkeypatch.setattr(storage.s3, "write_file", real)
    assert storage.send_folder(folder, url, "bundle.json").files == 2
    assert there(s3_client, bucket)["a/zz.txt"] == b"changed"


def test_going_back_to_an_older_content_after_a_kill(
    folder: Path, s3_client: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was overwritten by a killed run is no longer what an older list says, be its size the same."""
    url = f"s3://{bucket}/a"
    storage.send_folder(folder, url, "bundle.json")
    fill(folder, {"zz.txt": b"Z"})
    with monkeypatch.context() as patch:
        patch.setattr(sending, "_compare_sizes", breaking)
        with pytest.raises(KeyboardInterrupt):
            storage.send_folder(folder, url, "bundle.json")
    fill(folder, {"zz.txt": b"z"})
    storage.send_folder(folder, url, "bundle.json")
    assert there(s3_client, bucket)["a/zz.txt"] == b"z"


def test_a_marker_that_may_not_be_deleted_is_made_useless(
    folder: Path, faulty: Any, s3_client: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"s3://{bucket}/a"
    storage.send_folder(folder, url, "bundle.json")
    faulty.choose = lambda method, path: faulty.DENIED if method == "DELETE" else None
    fill(folder, {"zz.txt": b"changed"})
    with monkeypatch.context() as patch:
        patch.setattr(sending, "_send", breaking)
        with pytest.raises(KeyboardInterrupt):
            storage.send_folder(folder, url, "bundle.json")
    assert list(json.loads(there(s3_client, bucket)["a/bundle.json"])) == ["unfinished"]
    with pytest.raises(BundleError, match="not the one"):
        storage.fetch_folder(url, "bundle.json")
    storage.send_folder(folder, url, "bundle.json")
    assert there(s3_client, bucket)["a/bundle.json"] == FILES["bundle.json"]


def test_checksums_alone_are_the_marker_of_other_outputs(folder: Path, s3_client: Any, bucket: str) -> None:
    url = f"s3://{bucket}/a"
    assert storage.send_folder(folder, url).files == 4
    assert parse_sums(there(s3_client, bucket)["a/checksums.json"], "").whole
    assert storage.send_folder(folder, url).files == 0


def test_folders_that_cannot_be_sent(tmp_path: Path, s3: str, bucket: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(OutputError, match="nothing to upload"):
        storage.send_folder(tmp_path / "empty", f"s3://{bucket}/a")
    with pytest.raises(OutputError, match=r"not whole: bundle\.json is missing"):
        storage.send_folder(fill(tmp_path / "half", {"x": b""}), f"s3://{bucket}/a", "bundle.json")


def test_what_may_not_be_written_is_found_out_first(faulty: Any, bucket: str, s3_client: Any) -> None:
    storage.ensure_writable(f"s3://{bucket}/a")
    assert there(s3_client, bucket) == {}
    assert not s3_client.list_multipart_uploads(Bucket=bucket).get("Uploads")
    faulty.choose = lambda method, path: faulty.DENIED if method == "POST" else None
    with pytest.raises(OutputError, match=r"S3 refuses the request \(AccessDenied\)"):
        storage.ensure_writable(f"s3://{bucket}/a")
    faulty.choose = lambda method, path: faulty.EXPIRED
    with pytest.raises(OutputError, match="credentials have expired") as caught:
        storage.ensure_writable(f"s3://{bucket}/a")
    assert "aws sso login" in str(caught.value)


@pytest.mark.parametrize("fault", ["ERROR", "SLOW", "DROP", "CUT", "STALL"])
def test_there_and_back_through_each_fault(
    folder: Path, faulty: Any, bucket: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_s3(S3Options(endpoint_url=faulty.url, timeout_seconds=0.5, retries=12))
    fill(folder, {f"many/{number}": bytes([number]) * 3000 for number in range(20)})
    monkeypatch.setattr(storage.s3_file, "_FETCHED_BYTES", 1000)
    faulty.stall_seconds = 0.2 if fault == "SLOW" else 0.8
    faulty.some({getattr(faulty, fault): 0.15})
    storage.send_folder(folder, f"s3://{bucket}/a", "bundle.json")
    back = storage.fetch_folder(f"s3://{bucket}/a", "bundle.json")
    assert content(back) == content(folder)
    assert faulty.faults[getattr(faulty, fault)] > 3


def test_a_server_that_is_restarted_is_waited_for(
    folder: Path, faulty: Any, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    configure_s3(S3Options(endpoint_url=faulty.url, timeout_seconds=0.5, retries=1, outage_seconds=20.0))
    fill(folder, {f"many/{number}": bytes([number]) * 3000 for number in range(60)})
    due = [10, 40]

    def choose(method: str, path: str) -> None:
        if method == "PUT" and due and faulty.requests["PUT"] >= due[0]:
            due.pop(0)
            threading.Thread(target=restart, daemon=True).start()

    def restart() -> None:
        with faulty.away(1.0):
            pass

    faulty.choose = choose
    storage.send_folder(folder, f"s3://{bucket}/a", "bundle.json")
    assert content(storage.fetch_folder(f"s3://{bucket}/a", "bundle.json")) == content(folder)
    assert not due
    assert "S3 answers again" in caplog.text


def test_a_server_that_stays_away_fails_clearly(folder: Path, faulty: Any, bucket: str) -> None:
    configure_s3(S3Options(endpoint_url=faulty.url, timeout_seconds=0.5, retries=1, outage_seconds=0.5))
    storage.send_folder(folder, f"s3://{bucket}/a", "bundle.json")
    fill(folder, {"zz.txt": b"changed"})
    faulty.choose = lambda method, path: faulty.ERROR if method in ("PUT", "HEAD") else None
    with pytest.raises(OutputError, match="S3 has not answered for"):
        storage.send_folder(folder, f"s3://{bucket}/a", "bundle.json")
    with pytest.raises(BundleError, match="Nothing whole"):
        storage.fetch_folder(f"s3://{bucket}/a", "bundle.json")


SENDER = """
import sys
from pathlib import Path
from multimodal_search import storage
folder, url, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("begun", flush=True)
while True:
    number += 1
    for one in range(12):
        (folder / f"part-{one:02d}").write_bytes(bytes([(number * (one % 3)) % 251]) * 20_000)
    (folder / "bundle.json").write_text(str(number))
    storage.send_folder(folder, url, "bundle.json")
"""


def test_killed_at_any_moment_there_is_no_marker_or_all_of_it(
    tmp_path: Path, s3: str, s3_client: Any, bucket: str
) -> None:
    """kill -9; the copy is looked at as S3 keeps it, and fetched."""
    dice, url = random.Random(8), f"s3://{bucket}/runs/1"
    (tmp_path / "sent").mkdir()
    seen = {"whole": 0, "not whole": 0}
    for number in range(12):
        child = subprocess.Popen(
            [sys.executable, "-c", SENDER, str(tmp_path / "sent"), url, str(number * 50)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(dice.uniform(0.1, 1.0))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        left = {key.removeprefix("runs/1/"): one for key, one in there(s3_client, bucket).items()}
        sums = parse_sums(left.pop("checksums.json", Sums({}, whole=False).to_bytes()), "")
        found = {name: FileSum(len(one), hashlib.sha256(one).hexdigest()) for name, one in left.items()}
        if "bundle.json" in left:
            seen["whole"] += 1
            assert sums == Sums(found)
            fetched = storage.fetch_folder(url, "bundle.json")
            assert {name: (fetched / name).read_bytes() for name in left} == left
        else:
            seen["not whole"] += 1
            with pytest.raises(BundleError):
                storage.fetch_folder(url, "bundle.json")
        # what the list says of a file holds at any moment
        if not sums.whole:
            assert all(found.get(name) == one for name, one in sums.files.items())
    assert seen["not whole"] > 2


def content(folder: Path) -> dict[str, bytes]:
    """Name -> content of all files but locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
