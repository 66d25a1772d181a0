"""Memory of `extract --mcap` over recordings of growing size: it must not grow with them.

    python benchmarks/mcap_memory.py                  # 1 and 10 GB, about 4 minutes and 10 GB of disk
    python benchmarks/mcap_memory.py --gigabytes 1 2

A recording holds a LiDAR (0.5 MB at 10 Hz, incompressible, not asked for), a camera (JPEG at 10 Hz), and
odometry in JSON (50 Hz); each size is read with its index, and again without one. The bar: 10 GB in at most
500 MB.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from mcap.writer import CompressionType, IndexType, Writer
from PIL import Image

BAR_MB = 500
LIDAR_BYTES = 500_000
START_NS = 10**18


def write_recording(path: Path, size_bytes: int, *, indexed: bool) -> float:
    """Write a drive of about this size; returns its length in seconds."""
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (480, 640, 3), np.uint8)).save(buffer, "JPEG", quality=80)
    picture, cloud = buffer.getvalue(), rng.bytes(LIDAR_BYTES * 2)
    options: dict[str, Any] = {} if indexed else {"index_types": IndexType.NONE, "use_statistics": False}
    tick = 0
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=4 << 20, compression=CompressionType.LZ4, **options)
        writer.start()
        schema = writer.register_schema("Any", "jsonschema", b"{}")
        raw = writer.register_schema("sensor_msgs/msg/CompressedImage", "ros2msg", _DEFINITION)
        odometry = writer.register_channel("/odom", "json", schema)
        camera = writer.register_channel("/CAM_FRONT/image", "cdr", raw)
        lidar = writer.register_channel("/lidar", "raw", schema)
        message = _compressed_image(picture)
        while file.tell() < size_bytes:
            for step in range(5):
                now = START_NS + (tick * 5 + step) * 20_000_000
                speed = {"speed_mps": 10 + 5 * np.sin(now / 1e10), "yaw_rate_radps": 0.1 * np.cos(now / 7e9)}
                writer.add_message(odometry, now, json.dumps(speed).encode(), now)
            now = START_NS + tick * 100_000_000
            writer.add_message(camera, now, message, now)
            at = tick * 997 % LIDAR_BYTES
            writer.add_message(lidar, now, cloud[at : at + LIDAR_BYTES], now)
            tick += 1
        writer.finish()
    return tick / 10


_DEFINITION = b"string format\nuint8[] data\n"


def _compressed_image(content: bytes) -> bytes:
    """CDR: an encapsulation header, "jpeg", and the bytes; each length is aligned to four."""
    text = b"jpeg\0"
    body = len(text).to_bytes(4, "little") + text
    body += b"\0" * (-len(body) % 4) + len(content).to_bytes(4, "little") + content
    return b"\0\1\0\0" + body


def measure(path: Path, out: Path) -> tuple[float, float, int]:
    """Seconds, peak of resident memory in MB, windows."""
    code = (
        "import resource, sys\n"
        "from multimodal_search.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        "sys.exit(code)"
    )
    command = [sys.executable, "-c", code, "extract", "--mcap", str(path), "--output-dir", str(out)]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(done.stderr)
    peak_kb = int(done.stdout.rsplit("PEAK", 1)[1])
    return seconds, peak_kb / 1024, len(json.loads((out / "scenes_metadata.json").read_text()))


def main() -> int:
    """Print a row a recording; 1 where the bar is not met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[1, 10])
    parser.add_argument("--folder", type=Path, help="where the recordings are written, for a while")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    worst = 0.0
    print(f"{'GB':>6} {'index':>6} {'drive s':>8} {'windows':>8} {'seconds':>8} {'MB/s':>6} {'peak MB':>8}")
    try:
        for gigabytes in arguments.gigabytes:
            for indexed in (True, False):
                path, out = folder / "drive.mcap", folder / "out"
                length = write_recording(path, round(gigabytes * 1e9), indexed=indexed)
                seconds, peak, windows = measure(path, out)
                worst = max(worst, peak)
                size = path.stat().st_size
                row = f"{size / 1e9:6.2f} {'yes' if indexed else 'no':>6} {length:8.0f} {windows:8d} "
                print(f"{row}{seconds:8.1f} {size / 1e6 / seconds:6.0f} {peak:8.0f}", flush=True)
                path.unlink()
                shutil.rmtree(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"peak {worst:.0f} MB, the bar is {BAR_MB} MB: {'met' if worst <= BAR_MB else 'NOT met'}")
    return 0 if worst <= BAR_MB else 1


if __name__ == "__main__":
    raise SystemExit(main())
