"""Which decoder turns a camera's JPEG into a model's input most quickly, and what that costs in exactness.

    python benchmarks/decode.py                      # pictures of 1600 x 900 made here, quality 90
    python benchmarks/decode.py --images DIR --cosines

Prints (1) what each decoder that is installed costs, at full size, a half and a quarter; (2) from the file's
bytes to the model's 224 x 224 input: Pillow and open_clip's transform, as clip-retrieval's reader does it,
against the exact and the fast way here, in one thread and in two; (3) how far the fast way's input is from
the exact one's, for each reduction; (4) with --cosines the same for vectors of models with random weights.
OpenCV, pyvips (its wheel brings libvips, LGPL-2.1) and PyTurboJPEG are compared where they are installed:
pip install opencv-python-headless 'pyvips[binary]' PyTurboJPEG.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import simplejpeg
import torch
from peers.photos import write_photos
from PIL import Image

from multimodal_search import encoders
from multimodal_search.embedding.images import decode
from multimodal_search.encoders.framing import Framing

REPEATS = 5
DINO = {
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "image_size": 518,
    "patch_size": 14,
}
Work = Callable[[bytes], Any]


def main() -> None:
    """Print the four tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, help="real JPEGs instead of made ones (recursive)")
    parser.add_argument("--pictures", type=int, default=12, help="how many to take")
    parser.add_argument("--quality", type=int, default=90, help="of the JPEGs made here")
    parser.add_argument("--cosines", action="store_true", help="also run models")
    args = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.setdefault("VIPS_CONCURRENCY", "1")
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as home:
        contents = (
            real(args.images, args.pictures) if args.images else made(Path(home), args.pictures, args.quality)
        )
        sizes = sorted({Image.open(io.BytesIO(one)).size for one in contents})
        kilobytes = sum(map(len, contents)) / len(contents) / 1000
        print(f"{len(contents)} JPEGs, {sizes[0]} to {sizes[-1]}, {kilobytes:.0f} KB on average\n")
        decoders(contents)
        chains(contents)
        differences(contents)
        if args.cosines:
            cosines(contents, Path(home))


def made(home: Path, count: int, quality: int) -> list[bytes]:
    """Photo-like pictures of 1600 x 900."""
    contents = []
    for path in sorted(write_photos(home / "photos", count, suffix=".png").iterdir()):
        buffer = io.BytesIO()
        Image.open(path).save(buffer, "JPEG", quality=quality)
        contents.append(buffer.getvalue())
    return contents


def real(folder: Path, count: int) -> list[bytes]:
    """JPEGs that are whole, evenly taken from a folder."""
    paths = sorted(one for one in folder.rglob("*") if one.suffix.lower() in (".jpg", ".jpeg"))
    return [path.read_bytes() for path in paths[:: max(1, len(paths) // count)]][:count]


def decoders(contents: list[bytes]) -> None:
    """What is installed, one picture after the other."""
    print(f"{'decoder to RGB array':32}{'full':>8}{'1/2':>8}{'1/4':>8}   ms of processor time")
    for name, at in known_decoders().items():
        costs = [cost(at(by), contents) for by in (1, 2, 4)]
        print(f"{name:32}" + "".join(f"{one:8.2f}" for one in costs))
    print()


def known_decoders() -> dict[str, Callable[[int], Work]]:
    """Name -> (divisor -> decoder of that reduction)."""
    found: dict[str, Callable[[int], Work]] = {
        "Pillow (draft)": lambda by: lambda one: drafted(one, by),
        "simplejpeg": lambda by: lambda one: simplejpeg.decode_jpeg(one, "RGB", **least(one, by)),
    }
    try:
        import cv2

        cv2.setNumThreads(1)
        flags = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
        found["OpenCV"] = lambda by: lambda one: cv2.imdecode(np.frombuffer(one, np.uint8), flags[by])
    except ImportError:
        print("OpenCV is not installed")
    try:
        import pyvips

        found["pyvips"] = lambda by: lambda one: pyvips.Image.new_from_buffer(one, "", shrink=by).numpy()
    except (ImportError, OSError):
        print("pyvips is not installed")
    try:
        from turbojpeg import TJPF_RGB, TurboJPEG

        turbo = TurboJPEG()
        found["PyTurboJPEG"] = lambda by: lambda one: turbo.decode(one, TJPF_RGB, scaling_factor=(1, by))
    except (ImportError, OSError, RuntimeError) as error:
        print(f"PyTurboJPEG is not usable: {str(error).splitlines()[0]}")
    return found


def drafted(content: bytes, by: int) -> np.ndarray:
    """Pillow's own scaled decoding."""
    with Image.open(io.BytesIO(content)) as image:
        if by > 1:
            image.draft("RGB", (-(-image.width // by), -(-image.height // by)))
        return np.asarray(image)


def least(content: bytes, by: int) -> dict[str, int]:
    """simplejpeg's words for a reduction."""
    with Image.open(io.BytesIO(content)) as image:
        return {"min_height": -(-image.height // by), "min_width": -(-image.width // by)}


def chains(contents: list[bytes]) -> None:
    """From bytes to the model's input, images/s by the clock and processor time."""
    _, _, transform = open_clip.create_model_and_transforms("ViT-B-32", pretrained=None)
    encoder = encoders.build("open_clip/ViT-B-32", "image", "random")
    enough = encoder.decode_at_least_px
    ways: dict[str, Work] = {
        "Pillow + open_clip's transform": lambda one: transform(Image.open(io.BytesIO(one))),
        "here, exact": lambda one: encoder.preprocess(decode(one)),
        "here, fast": lambda one: encoder.preprocess(decode(one, at_least_px=enough)),
    }
    heads = ("1 thread", "2 threads", "processor")
    print(f"{'bytes to 224 x 224 input':32}" + "".join(f"{one:>10}" for one in heads) + "   ratios")
    print(f"{'':32}{'images/s':>10}{'images/s':>10}{'ms/image':>10}   to the first")
    rounds: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    for _ in range(REPEATS):  # in turn, so that what else the machine does falls on all alike
        for name, work in ways.items():
            rounds[name].append((once(work, contents, 1), once(work, contents, 2), -cost(work, contents)))
    best = {name: np.abs(np.max(found, axis=0)) for name, found in rounds.items()}
    first = next(iter(best.values()))
    for name, found in best.items():
        ratios = (found[0] / first[0], found[1] / first[1], first[2] / found[2])
        shown = f"{name:32}{found[0]:10.0f}{found[1]:10.0f}{found[2]:10.2f}   "
        print(shown + " ".join(f"{one:5.2f}" for one in ratios))
    print()


def cost(work: Work, contents: list[bytes]) -> float:
    """Milliseconds of processor time an image, in the best round: other work on the machine hardly shows."""
    best = float("inf")
    for _ in range(REPEATS):
        begin = time.process_time()
        for one in contents:
            work(one)
        best = min(best, 1000 * (time.process_time() - begin) / len(contents))
    return best


def once(work: Work, contents: list[bytes], threads: int) -> float:
    """Images/s of one round."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, contents[:1]))
        start = time.perf_counter()
        list(pool.map(work, contents * 2))
        return 2 * len(contents) / (time.perf_counter() - start)


def differences(contents: list[bytes]) -> None:
    """Model inputs by the fast way against the exact one, by how much larger the reduced picture still is."""
    print(
        f"{'reduced / input':18}{'reduction':>10}{'pictures':>10}{'mean |d|':>10}{'PSNR dB':>10}{'worst':>8}"
    )
    found: dict[tuple[float, int], list[tuple[float, float]]] = {}
    for side in (224, 288, 336):
        framing = Framing((side, side), "crop")
        for content in contents:
            picture = decode(content)
            exact = framing.of_image(picture).astype(float)
            for by in (1, 2, 4, 8):
                short = -(-min(picture.size) // by)
                if short < side:
                    break
                quick = framing.of_array(np.asarray(decode(content, at_least_px=(short, short))))
                error = quick - exact
                decibel = 10 * np.log10(255**2 / max(float((error**2).mean()), 1e-6))
                key = (np.floor(5 * short / side) / 5, by)
                found.setdefault(key, []).append((float(np.abs(error).mean()), decibel))
    for (ratio, by), values in sorted(found.items()):
        mean = np.mean(values, axis=0)
        worst = min(one[1] for one in values)
        print(f"from {ratio:<13.1f}{by:10}{len(values):10}{mean[0]:10.2f}{mean[1]:10.1f}{worst:8.1f}")
    print()


def cosines(contents: list[bytes], home: Path) -> None:
    """Vectors by the fast way against the exact one."""
    print(f"{'model, random weights':40}{'mean cosine':>12}{'worst':>10}   bars 0.999 and 0.995")
    for name, weights in (
        ("sample/vit", None),
        ("open_clip/ViT-B-32", "random"),
        ("open_clip/RN50", "random"),
        (f"hf/{dino(home / 'dino')}", None),
    ):
        encoder = encoders.build(name, "image", weights)
        enough = encoder.decode_at_least_px
        exact = encoder.embed([encoder.preprocess(decode(one)) for one in contents])
        fast = encoder.embed([encoder.preprocess(decode(one, at_least_px=enough)) for one in contents])
        found = (exact * fast).sum(axis=1)
        others = (exact @ exact.T)[~np.eye(len(exact), dtype=bool)].mean()
        shown = "DINOv2-small's shape" if name.startswith("hf/") else name
        print(f"{shown:40}{found.mean():12.6f}{found.min():10.6f}   (between pictures {others:.3f})")


def dino(folder: Path) -> Path:
    """A folder with a model of DINOv2-small's shape."""
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    Dinov2Model(Dinov2Config(**DINO)).save_pretrained(folder)
    BitImageProcessor(size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224}).save_pretrained(
        folder
    )
    return folder


if __name__ == "__main__":
    main()
