"""OBJ files that count vertices backwards, which trimesh does not read."""

from __future__ import annotations

import re

_RELATIVE = re.compile(rb"^[fl][ \t][^#\n]*?[ \t/]-[0-9]", re.M)
_LISTS = (b"v", b"vt", b"vn")


def has_relative_numbers(content: bytes) -> bool:
    """Whether a face names a vertex as "the third before here"."""
    return _RELATIVE.search(content) is not None


def with_absolute_numbers(content: bytes) -> bytes:
    """The same file with numbers counted from the start; ones that lead before it stay as they are."""
    seen = dict.fromkeys(_LISTS, 0)
    lines = content.splitlines()
    for number, line in enumerate(lines):
        words = line.partition(b"#")[0].split()
        if not words:
            continue
        if words[0] in seen:
            seen[words[0]] += 1
        elif words[0] in (b"f", b"l"):
            lines[number] = b" ".join([words[0], *(_absolute(one, seen) for one in words[1:])])
    return b"\n".join(lines) + b"\n"


def _absolute(corner: bytes, seen: dict[bytes, int]) -> bytes:
    """``-1/-1`` -> ``8/14``."""
    parts = corner.split(b"/")
    for place, (part, kind) in enumerate(zip(parts, _LISTS, strict=False)):
        if re.fullmatch(rb"-[0-9]+", part) and seen[kind] + int(part) >= 0:
            parts[place] = b"%d" % (seen[kind] + int(part) + 1)
    return b"/".join(parts)
