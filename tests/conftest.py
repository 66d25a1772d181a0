"""What every test needs: no network, no state left behind, real data where it is."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
import uuid
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from filelock import FileLock

from multimodal_search import storage

os.environ.setdefault("OMP_NUM_THREADS", "1")
# a busy machine makes no property false, and every run tries the same examples
hypothesis.settings.register_profile("here", deadline=None, derandomize=True)
hypothesis.settings.load_profile("here")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Feature tables of one test never serve another."""
    monkeypatch.setenv("MULTIMODAL_SEARCH_FEATURES_DIR", str(tmp_path_factory.mktemp("features")))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real files; tests that need it are skipped where it is absent."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MULTIMODAL_SEARCH_REAL_DATA", default)).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (MULTIMODAL_SEARCH_REAL_DATA names another place)")
    return folder


@pytest.fixture(scope="session")
def environment() -> Callable[..., Path]:
    """Makes an environment for packages that cannot share ours, in the temporary folder; gives its python.

    ``environment(name, packages, lends_ours=True)`` also sees the packages that the tests run on.
    """

    def make(name: str, packages: list[str], *, lends_ours: bool = False) -> Path:
        home = Path(tempfile.gettempdir()) / f"multimodal-search-{os.getuid()}"
        home.mkdir(exist_ok=True)
        folder = home / f"{name}-{sys.version_info[0]}.{sys.version_info[1]}"
        python, ready = folder / "bin" / "python", folder / "ready"
        with FileLock(f"{folder}.lock"):
            if ready.exists() and ready.read_text() == "\n".join(packages):
                return python
            venv.create(folder, with_pip=True, clear=True)
            install = [python, "-m", "pip", "install", "--quiet", *packages]
            done = subprocess.run(install, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"pip could not make the environment {name}: {done.stderr[-300:]}")
            if lends_ours:
                site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
                (site / "zz_ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
            ready.write_text("\n".join(packages))
        return python

    return make


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """moto's real S3 server on a free port of loopback."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Point boto3 at the server, with credentials, and with a proxy that is dead."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    storage.configure_s3(storage.S3Options())
    yield s3_endpoint
    storage.configure_s3(storage.S3Options())


@pytest.fixture
def s3_client(s3: str) -> Any:
    """boto3's own client of the server."""
    boto3, config = pytest.importorskip("boto3"), pytest.importorskip("botocore.config")
    return boto3.session.Session().client("s3", endpoint_url=s3, config=config.Config(proxies={}))


@pytest.fixture
def new_bucket(s3_client: Any) -> Callable[[], str]:
    """Makes an empty bucket."""

    def make() -> str:
        name = f"b-{uuid.uuid4().hex[:12]}"
        s3_client.create_bucket(Bucket=name)
        return name

    return make


@pytest.fixture
def bucket(new_bucket: Callable[[], str]) -> str:
    """An empty bucket."""
    return new_bucket()


@pytest.fixture
def faulty(s3: str) -> Iterator[Any]:
    """The server behind a proxy that spoils what it is told to; S3 is reached through it."""
    # tests are no package: what they share is loaded by its place
    spec = importlib.util.spec_from_file_location(
        "fault_proxy", Path(__file__).parent / "storage/fault_proxy.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    proxy = module.FaultProxy(s3)
    storage.configure_s3(storage.S3Options(endpoint_url=proxy.url, timeout_seconds=0.5))
    yield proxy
    with contextlib.suppress(OSError):
        proxy.stop()
