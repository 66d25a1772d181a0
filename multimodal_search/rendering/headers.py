"""What a mesh file says of itself, checked against its size before anything believes it."""

from __future__ import annotations

from pathlib import Path

from multimodal_search.errors import SkipInput

SUFFIXES = (".ply", ".obj", ".stl", ".off")
_PLY_BYTES = {
    "char": 1, "uchar": 1, "int8": 1, "uint8": 1, "short": 2, "ushort": 2, "int16": 2, "uint16": 2,
    "int": 4, "uint": 4, "int32": 4, "uint32": 4, "float": 4, "float32": 4, "double": 8, "float64": 8,
}  # fmt: skip
_LONGEST_HEADER = 1 << 16
_STL_HEADER, _STL_FACE = 84, 50


def check_file(path: Path) -> tuple[str, int]:
    """What kind of file it is by its content (``ply``, ``stl``, ``off``, ``obj``), and the faces it claims.

    Raises:
        SkipInput: empty, not one of these, or it claims more than it can hold.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    if not size:
        raise SkipInput("the file is empty")
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    kind = _kind(path, head, size)
    faces = 0
    if kind == "ply":
        faces = _check_ply(head, size)
    elif kind == "off":
        faces = _check_off(head, size)
    elif kind == "stl":
        _check_stl(head, size)
    return kind, faces


def _kind(path: Path, head: bytes, size: int) -> str:
    """By its first bytes, since names lie; OBJ and STL, which have none for certain, by the name."""
    start = head.lstrip()[:80]
    if start.startswith((b"ply\n", b"ply\r")):
        return "ply"
    if start[:4] in (b"OFF\n", b"OFF\r", b"OFF ") or start.startswith((b"COFF", b"NOFF", b"STOFF", b"OFF#")):
        return "off"
    named = path.suffix.lower().removeprefix(".")
    if named == "off" and start.startswith(b"OFF"):
        return "off"
    if start.startswith(b"solid") and b"facet" in head:
        return "stl"
    if len(head) >= _STL_HEADER and _STL_HEADER + _STL_FACE * _stl_count(head) == size:
        return "stl"
    if named == "stl":
        return "stl"
    if b"\x00" in head[:1024]:
        raise SkipInput("no mesh: binary content that is neither PLY nor STL")
    if named == "obj" or _has_obj_lines(head):
        return "obj"
    raise SkipInput(f"no {named.upper()} file: its first bytes are {bytes(start[:12])!r}")


def _has_obj_lines(head: bytes) -> bool:
    return any(line.startswith((b"v ", b"f ")) for line in head.splitlines()[:1000])


def _check_ply(head: bytes, size: int) -> int:
    end = head.find(b"end_header")
    if end < 0:
        raise SkipInput("truncated: the PLY header has no end")
    text = head[:end].decode("latin-1").splitlines()
    binary = any(line.split()[:2] == ["format", "binary_little_endian"] for line in text) or any(
        line.split()[:2] == ["format", "binary_big_endian"] for line in text
    )
    needed, count, faces = end + len("end_header"), 0, 0
    for line in text:
        words = line.split()
        if words[:1] == ["element"] and len(words) == 3:
            count = _count(words[2])
            faces = count if words[1] == "face" else faces
        elif words[:1] == ["property"] and len(words) >= 3:
            # a list has at least its length; in text every value takes a digit and a space
            kind = words[2] if words[1] == "list" else words[1]
            needed += count * (_PLY_BYTES.get(kind, 1) if binary else 2)
    _compare(needed, size)
    return faces


def _check_off(head: bytes, size: int) -> int:
    words: list[str] = []
    for line in head.decode("latin-1").splitlines():
        words += line.partition("#")[0].split()
        if len(words) > 4:
            break
    if words and words[0].endswith("OFF"):
        words = words[1:]
    elif words and "OFF" in words[0]:
        words[0] = words[0].rpartition("OFF")[2]
    if len(words) < 2:
        raise SkipInput("truncated: the OFF header has no counts")
    _compare(_count(words[0]) * 6 + _count(words[1]) * 4, size)
    return _count(words[1])


def _check_stl(head: bytes, size: int) -> None:
    if head.lstrip().startswith(b"solid") and (b"facet" in head or b"endsolid" in head):
        return
    if size < _STL_HEADER:
        raise SkipInput("no faces: too short for an STL file")
    _compare(_STL_HEADER + _STL_FACE * _stl_count(head), size)


def _stl_count(head: bytes) -> int:
    return int.from_bytes(head[80:84], "little")


def _count(word: str) -> int:
    try:
        count = int(word)
    except ValueError:
        raise SkipInput(f"the header counts {word[:20]!r}") from None
    if count < 0:
        raise SkipInput(f"the header counts {count}")
    return count


def _compare(needed: int, size: int) -> None:
    # a last line without its end
    if needed > size + 2:
        raise SkipInput(f"truncated: its header claims {needed:,} bytes or more, the file has {size:,}")
