"""A file for each id, in the ids' own folders: safe on every file system, and never one file for two ids."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

_SUFFIX = ".csv"
# '~' marks what is made from a hash, so no id may bring its own
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"\\|?*%~\ud800-\udfff]')
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.I)  # of Windows
_LONGEST_NAME_BYTES = 200
_LONGEST_PATH_BYTES = 2000


def file_paths(ids: Sequence[str], reserved: Collection[str] = ()) -> list[str]:
    """A relative path an id: ``a/b.jpg`` -> ``a/b.jpg.csv``, with ``/`` on every system.

    What would leave the folder, or is no name somewhere (``..``, ``:``, a control character, a trailing
    dot), is percent-encoded; a long name is cut and gets a hash; ids whose paths differ only in case, or in
    a form of Unicode, all get a hash.

    Args:
        reserved: names in the top folder that no id's folder may take.
    """
    taken = {_folded(one) for one in reserved}
    paths = [_path(one, taken) for one in ids]
    seen = Counter(map(_folded, paths))
    if len(seen) == len(paths):
        return paths
    return [
        path if seen[_folded(path)] == 1 else f"{path.removesuffix(_SUFFIX)}~{_hash(one)}{_SUFFIX}"
        for one, path in zip(ids, paths, strict=True)
    ]


def _path(one: str, taken: Collection[str]) -> str:
    parts = [_name(part) for part in one.split("/") if part]
    if not parts:
        return f"~{_hash(one)}{_SUFFIX}"
    for place, part in enumerate(parts[:-1]):
        # a folder a.csv beside the file of the id a; a folder where one of ours is
        if part.lower().endswith(_SUFFIX):
            part = f"{part[:-4]}%2E{part[-3:]}"
        elif place == 0 and _folded(part) in taken:
            part = _encoded(part[0]) + part[1:]
        parts[place] = part
    path = "/".join(parts) + _SUFFIX
    return path if len(path.encode()) <= _LONGEST_PATH_BYTES else f"~long/~{_hash(one)}{_SUFFIX}"


def _name(part: str) -> str:
    name = _UNSAFE.sub(lambda match: _encoded(match[0]), part)
    if name in (".", ".."):
        return name.replace(".", "%2E")
    if name[-1] in ". ":
        name = name[:-1] + _encoded(name[-1])
    if _DEVICE.fullmatch(name):
        name = _encoded(name[0]) + name[1:]
    raw = name.encode()
    if len(raw) > _LONGEST_NAME_BYTES:
        name = f"{raw[: _LONGEST_NAME_BYTES - 20].decode(errors='ignore')}~{_hash(part)}"
    return name


def _encoded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def _hash(one: str) -> str:
    return hashlib.blake2b(one.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path.casefold())
