"""Measure a search server that runs: times of queries, throughput, memory.

    python data_preparation/test_performance.py --api-url http://localhost:8000 --num-queries 200

One client asks by words, one after another; then ``--workers`` of them ask at once. With ``--images-dir`` its
pictures are asked, too. The report is JSON: p50, p95 and p99 in milliseconds, queries a second, statuses, and
the server's resident memory before and after. Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import secrets
import statistics
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

QUERIES = (
    "rain at an intersection", "雨の日の交差点", "driving on a motorway", "高速道路での走行",
    "residential street at night", "夜間の住宅街", "parking slowly", "市街地の信号交差点",
    "hard braking behind a truck", "pedestrians crossing",
)  # fmt: skip
TIMEOUT_SECONDS = 60
MULTIPART = "multipart/form-data"


class Client:
    """One connection, kept open."""

    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._open = lambda: kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        self._connection = self._open()
        self._base = parts.path.rstrip("/")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[int, bytes]:
        """Status and content; status 0 where there was no answer."""
        headers = self._headers | ({"Content-Type": kind} if kind else {})
        try:
            self._connection.request(method, self._base + path, body, headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = self._open()
            return 0, b""

    def search(self, number: int) -> int:
        """Ask by words; the status."""
        query = {"parts": [{"text": QUERIES[number % len(QUERIES)]}], "k": 10}
        return self.ask("POST", "/search", json.dumps(query).encode(), "application/json")[0]

    def search_image(self, picture: bytes) -> int:
        """Ask by a picture; the status."""
        mark = secrets.token_hex(12)
        query = json.dumps({"parts": [{"image": "@image"}], "k": 10})
        body = (
            f'--{mark}\r\nContent-Disposition: form-data; name="query"\r\n\r\n{query}\r\n'
            f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="picture"\r\n\r\n'
        ).encode()
        body += picture + f"\r\n--{mark}--\r\n".encode()
        return self.ask("POST", "/search", body, f"{MULTIPART}; boundary={mark}")[0]

    def memory_mb(self) -> float | None:
        """Resident memory of the server's process, where it tells."""
        found = re.search(rb"^process_resident_memory_bytes (\S+)", self.ask("GET", "/metrics")[1], re.M)
        return None if found is None else round(float(found.group(1)) / 1e6, 1)


def figures(times: list[float], statuses: Counter[int], seconds: float) -> dict[str, Any]:
    """What is told of one measurement.

    Args:
        times: of the queries, in seconds.
        seconds: of all together.
    """
    ranked = sorted(1000 * one for one in times)

    def at(share: float) -> float:
        return round(ranked[min(len(ranked) - 1, int(share * len(ranked)))], 2)

    return {
        "queries": len(ranked),
        "errors": sum(count for status, count in statuses.items() if status != 200),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "p50_ms": at(0.50),
        "p95_ms": at(0.95),
        "p99_ms": at(0.99),
        "mean_ms": round(statistics.fmean(ranked), 2),
        "max_ms": round(ranked[-1], 2),
        "throughput_per_second": round(len(ranked) / seconds, 2),
    }


def measured(ask: Any, count: int) -> dict[str, Any]:
    """``ask(number)`` gives a status; it is asked ``count`` times, one after another."""
    times, statuses = [], Counter[int]()
    began = time.perf_counter()
    for number in range(count):
        started = time.perf_counter()
        statuses[ask(number)] += 1
        times.append(time.perf_counter() - started)
    return figures(times, statuses, time.perf_counter() - began)


def at_once(url: str, token: str | None, count: int, workers: int) -> dict[str, Any]:
    """``count`` queries by ``workers`` clients."""
    times, statuses, lock = [], Counter[int](), threading.Lock()
    left = iter(range(count))

    def work() -> None:
        client = Client(url, token)
        while True:
            with lock:
                number = next(left, None)
            if number is None:
                return
            started = time.perf_counter()
            status = client.search(number)
            with lock:
                times.append(time.perf_counter() - started)
                statuses[status] += 1

    began = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(workers)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return figures(times, statuses, time.perf_counter() - began)


def main() -> int:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--api-url", default="http://localhost:8000", help="of the server")
    parser.add_argument("--num-queries", type=int, default=100, help="of each kind")
    parser.add_argument("--workers", type=int, default=8, help="clients that ask at once")
    parser.add_argument("--images-dir", type=Path, help="pictures to ask with")
    parser.add_argument("--output", type=Path, default=Path("performance_report.json"))
    args = parser.parse_args()
    if args.num_queries < 1 or args.workers < 1:
        parser.error("--num-queries and --workers are at least 1")
    token = os.environ.get("MULTIMODAL_SEARCH_TOKEN") or None
    client = Client(args.api_url, token)
    status, told = client.ask("GET", "/healthz")
    if status != 200:
        print(f"error: no search server answers at {args.api_url} (status {status})", file=sys.stderr)
        return 2
    if (first := client.search(0)) != 200:
        print(
            f"error: a query is answered with {first}; a token goes into MULTIMODAL_SEARCH_TOKEN",
            file=sys.stderr,
        )
        return 2
    before = client.memory_mb()
    report: dict[str, Any] = {"api_url": args.api_url, "moments": json.loads(told).get("moments")}
    report["text"] = measured(client.search, args.num_queries)
    if args.images_dir is not None:
        pictures = [one.read_bytes() for one in sorted(args.images_dir.glob("*.jp*g"))[:50]]
        if not pictures:
            print(f"error: {args.images_dir} holds no JPEG", file=sys.stderr)
            return 2
        report["image"] = measured(
            lambda number: client.search_image(pictures[number % len(pictures)]), args.num_queries
        )
    report[f"text, {args.workers} at once"] = at_once(args.api_url, token, args.num_queries, args.workers)
    report["memory_mb"] = {"before": before, "after": client.memory_mb()}
    args.output.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, one in report.items():
        if isinstance(one, dict) and "p50_ms" in one:
            print(
                f"{name}: p50 {one['p50_ms']} ms, p95 {one['p95_ms']} ms, p99 {one['p99_ms']} ms, "
                f"{one['throughput_per_second']}/s, {one['errors']} errors"
            )
    print(f"memory {report['memory_mb']}; the report is in {args.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
