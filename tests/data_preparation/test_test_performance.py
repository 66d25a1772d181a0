"""The script that measures a running server."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from PIL import Image

SCRIPT = Path(__file__).parents[2] / "data_preparation" / "test_performance.py"


class Answers(BaseHTTPRequestHandler):
    """A server that knows the routes; every fifth query fails."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self) -> None:
        self._send(
            200, b'{"moments": 7}' if self.path == "/healthz" else b"process_resident_memory_bytes 5e+07\n"
        )

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).asked += 1
        assert b'"parts"' in content
        self._send(500 if type(self).asked % 5 == 0 else 200, b"{}")

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def run(*flags: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *flags]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def test_the_report(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        flags = ["--api-url", url, "--num-queries", "20", "--workers", "3", "--images-dir", str(tmp_path)]
        done = run(*flags, cwd=tmp_path)
        server.shutdown()
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "performance_report.json").read_text())
    for name in ("text", "image", "text, 3 at once"):
        one = report[name]
        assert one["queries"] == 20
        assert one["errors"] == 4
        assert 0 < one["p50_ms"] <= one["p95_ms"] <= one["p99_ms"] <= one["max_ms"]
        assert one["throughput_per_second"] > 0
    assert report["memory_mb"] == {"before": 50.0, "after": 50.0}
    assert report["moments"] == 7


def test_without_a_server_it_says_so(tmp_path: Path) -> None:
    done = run("--api-url", "http://127.0.0.1:1", cwd=tmp_path)
    assert done.returncode == 2
    assert "no search server answers" in done.stderr
