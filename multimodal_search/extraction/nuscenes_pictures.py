"""Pictures of a nuScenes release, of which perhaps only a part was downloaded."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from multimodal_search.errors import DataError
from multimodal_search.extraction.nuscenes_scene import ReleaseScene


class Pictures:
    """Files under a nuScenes root. Links are followed: ``samples`` often is one to another disk.

    Args:
        root: the nuScenes root.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names_in: dict[str, frozenset[str]] = {}

    def there(self, path: str | None) -> bool:
        """Whether the file is there. One listing a folder instead of a question a file.

        Raises:
            DataError: the path leaves the root.
        """
        if path is None:
            return False
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or "\0" in path:
            raise DataError(
                f"The path {path!r} leaves the nuScenes folder {self._root}.",
                where="sample_data.json",
                remedy="use paths relative to the folder",
            )
        folder = pure.parent.as_posix()
        if folder not in self._names_in:
            try:
                names = frozenset(entry.name for entry in (self._root / folder).iterdir())
            except OSError:
                names = frozenset()
            self._names_in[folder] = names
        return pure.name in self._names_in[folder]

    def read(self, path: str) -> bytes | None:
        """The file's content; None where it is empty or cannot be read."""
        try:
            return (self._root / path).read_bytes() or None
        except OSError:
            return None

    def best_keyframe(self, scene: ReleaseScene) -> int | None:
        """The keyframe nearest to the middle that has the primary camera's picture, else any picture."""
        middle = (len(scene.samples) - 1) / 2
        order = sorted(range(len(scene.samples)), key=lambda place: abs(place - middle))
        cameras = list(scene.pictures.values())
        for of_cameras in (cameras[:1], cameras[1:]):
            for place in order:
                if any(self.there(files[place]) for files in of_cameras):
                    return place
        return None
