"""A file of paths: any file, any range, each path once, and never out of its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_search import storage
from multimodal_search.errors import DataError, SettingsError
from multimodal_search.settings import EmbedSettings
from multimodal_search.sources.inputs import Inputs, open_inputs

Opened = Callable[..., Inputs]


@pytest.fixture
def listed(tmp_path: Path, opened: Opened) -> Callable[..., Inputs]:
    """The inputs of a path file with this content, over a folder with two pictures."""
    target = tmp_path / "target"
    for name in ("a.jpg", "sub/b c.jpg"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(name.encode())

    def open_them(content: bytes, **settings: Any) -> Inputs:
        (tmp_path / "paths.txt").write_bytes(content)
        return opened(path_file=tmp_path / "paths.txt", **{"target_dir": target, **settings})

    return open_them


def ids(inputs: Inputs) -> list[str]:
    return [one.id for one in inputs]


def test_the_id_keeps_the_prefix_and_the_location_lacks_it(listed: Opened, tmp_path: Path) -> None:
    inputs = listed(b"NAME/a.jpg\nNAME/sub/b c.jpg\nNAME/gone.jpg\n", dataset="NAME")
    found = list(inputs)
    target = tmp_path / "target"
    assert [(one.id, one.location) for one in found] == [
        ("NAME/a.jpg", str(target / "a.jpg")),
        ("NAME/sub/b c.jpg", str(target / "sub/b c.jpg")),
        ("NAME/gone.jpg", str(target / "gone.jpg")),
    ]
    assert [one.key for one in found] == [
        storage.content_key(target / "a.jpg"), storage.content_key(target / "sub/b c.jpg"), "",
    ]  # fmt: skip
    assert (inputs.kind, inputs.root, inputs.count) == ("paths", str(target), 3)
    assert list(inputs) == found


def test_on_s3(listed: Opened, bucket: str) -> None:
    inputs = listed(
        b"NAME/a.jpg\nNAME/x//y?.jpg\n", dataset="NAME", storage="s3", bucket_name=bucket, target_dir=None
    )
    assert [(one.id, one.key, one.location) for one in inputs] == [
        ("NAME/a.jpg", "", f"s3://{bucket}/a.jpg"),
        ("NAME/x//y?.jpg", "", f"s3://{bucket}/x//y?.jpg"),
    ]
    assert inputs.root == f"s3://{bucket}"


def test_a_missing_bucket(listed: Opened, s3: str) -> None:
    with pytest.raises(DataError, match="'not-there' does not exist"):
        listed(b"a.jpg\n", storage="s3", bucket_name="not-there", target_dir=None)


def test_line_ends_blanks_marks_and_spaces(listed: Opened) -> None:
    content = b"\xef\xbb\xbfa.jpg  \r\n\r\n   \n\tsub/b c.jpg\r\n\n" + "雨.jpg".encode() + b"\nlast.jpg"
    inputs = listed(content)
    assert ids(inputs) == ["a.jpg", "sub/b c.jpg", "雨.jpg", "last.jpg"]
    assert inputs.count == 4
    assert inputs.failures == []


def test_doubles_are_dropped_and_said(listed: Opened, caplog: pytest.LogCaptureFixture) -> None:
    inputs = listed(b"a.jpg\nb.jpg\n\na.jpg \nb.jpg\r\na.jpg\nc.jpg\n")
    assert ids(inputs) == ids(inputs) == ["a.jpg", "b.jpg", "c.jpg"]
    assert inputs.count == 3
    assert "3 lines repeat an earlier one" in caplog.text


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, None, ["0", "1", "2", "3"]),
        (1, 3, ["1", "2"]),
        (3, 4, ["3"]),
        (2, None, ["2", "3"]),
        (0, 4, ["0", "1", "2", "3"]),
    ],
)
@pytest.mark.parametrize("last", [b"", b"\n"])
def test_ranges(listed: Opened, start: int, end: int | None, expected: list[str], last: bytes) -> None:
    assert ids(listed(b"0\n1\n2\n3" + last, start_line=start, end_line=end)) == expected


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        (4, None, "--start-line 4 lies outside the file, which has 4 lines"),
        (0, 5, "--end-line 5 lies outside the file, which has 4 lines"),
        (2, 2, "--end-line 2 does not come after --start-line 2"),
        (3, 1, "--end-line 1 does not come after --start-line 3"),
    ],
)
def test_bad_ranges(listed: Opened, start: int, end: int | None, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        listed(b"0\n1\n2\n3\n", start_line=start, end_line=end)
    assert told in str(caught.value)


def test_unusable_lines_are_failures_with_their_number(listed: Opened, tmp_path: Path) -> None:
    inputs = listed(
        b"N/a.jpg\nOTHER/b.jpg\nN/../../etc/passwd\nN/bad\xff.jpg\nN/x\0y.jpg\nN/\nN/sub/\nN//etc/passwd\n"
        b"N/sub/../a.jpg\nN/..\n",
        dataset="N",
    )
    found = list(inputs)
    assert [one.id for one in found] == ["N/a.jpg", "N/sub/../a.jpg"]
    assert found[1].location == str(tmp_path / "target/a.jpg")
    reasons = [one.reason.partition(f"{tmp_path / 'paths.txt'}: ") for one in inputs.failures]
    assert [(number, reason) for number, _, reason in reasons] == [
        ("line 1 of ", "it does not start with 'N/' (--dataset)"),
        ("line 2 of ", f"it leads out of {tmp_path / 'target'}"),
        ("line 3 of ", "it is not UTF-8"),
        ("line 4 of ", "it holds a NUL character"),
        ("line 5 of ", "it names no file"),
        ("line 6 of ", "it names no file"),
        ("line 7 of ", f"it leads out of {tmp_path / 'target'}"),
        ("line 9 of ", f"it leads out of {tmp_path / 'target'}"),
    ]
    assert inputs.failures[2].id == "N/bad\\xff.jpg"
    assert list(inputs) == found
    assert len(inputs.failures) == 8


def test_paths_in_full_below_the_folder(listed: Opened, tmp_path: Path) -> None:
    path = tmp_path / "target" / "a.jpg"
    (one,) = listed(f"{path}\n".encode())
    assert (one.id, one.location) == (str(path), str(path))


def test_a_wrong_dataset_ends_the_run(listed: Opened) -> None:
    for lines in (3, 5000):
        inputs = listed(b"".join(b"OTHER/%d.jpg\n" % number for number in range(lines)), dataset="NAME")
        with pytest.raises(DataError, match=r"does not start with 'NAME/'.*OTHER/0.jpg"):
            next(iter(inputs))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "The file is empty"),
        (b"\n \r\n\n", "all blank"),
        ("a.jpg\n".encode("utf-16"), "UTF-16"),
        (b"x" * (1 << 20), "longer than"),
    ],
)
def test_files_that_are_no_lists(listed: Opened, content: bytes, told: str) -> None:
    with pytest.raises(DataError, match=told):
        listed(content)


def test_files_and_folders_that_are_not_there(opened: Opened, tmp_path: Path) -> None:
    (tmp_path / "paths.txt").write_text("a.jpg\n")
    with pytest.raises(DataError, match="does not exist") as caught:
        opened(path_file=tmp_path / "none.txt", target_dir=tmp_path)
    assert "--path-file" in str(caught.value)
    with pytest.raises(DataError, match="cannot be read"):
        opened(path_file=tmp_path, target_dir=tmp_path)
    with pytest.raises(DataError, match="does not exist") as caught:
        opened(path_file=tmp_path / "paths.txt", target_dir=tmp_path / "none")
    assert "--target-dir" in str(caught.value)
    with pytest.raises(DataError, match="is a file"):
        opened(path_file=tmp_path / "paths.txt", target_dir=tmp_path / "paths.txt")


def test_a_file_that_changes_meanwhile(listed: Opened, tmp_path: Path) -> None:
    inputs = listed(b"a.jpg\n")
    with (tmp_path / "paths.txt").open("ab") as file:
        file.write(b"b.jpg\n")
    with pytest.raises(DataError, match="changed"):
        list(inputs)


_LINES = st.lists(
    st.text("ab/. \t\r\v雨\x85", max_size=5).map(str.encode) | st.binary(max_size=4), max_size=30
)


@given(_LINES, st.sampled_from([b"\n", b"\r\n"]), st.booleans(), st.integers(0, 5), st.integers(1, 30))
@settings(max_examples=300)
def test_any_file(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[bytes],
    line_end: bytes,
    ended: bool,
    start: int,
    length: int,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    content = line_end.join(lines) + (line_end if ended else b"")
    (folder / "list").write_bytes(content)
    given_settings = EmbedSettings(
        out="x", path_file=folder / "list", target_dir=folder, start_line=start, end_line=start + length
    )
    physical = content.split(b"\n")
    if physical[-1] == b"":
        physical.pop()
    chosen = [one.strip() for one in physical[start : start + length]]
    if start == 0 and chosen:
        chosen[0] = chosen[0].removeprefix(b"\xef\xbb\xbf").strip()
    expected = list(dict.fromkeys(one for one in chosen if one))
    try:
        inputs = open_inputs(given_settings, sample_dir=folder)
    except SettingsError:
        assert start >= len(physical) or start + length > len(physical)
        return
    except DataError:
        assert not expected or content[:2] in (b"\xff\xfe", b"\xfe\xff")
        return
    assert inputs.count == len(expected)
    try:
        found = list(inputs)
    except DataError:
        found = []
    shown = {one.decode("utf-8", "backslashreplace") for one in expected}
    assert {one.id for one in found} | {one.id for one in inputs.failures} == shown
    assert [one.id for one in found] == [
        one for one in map(_decoded, expected) if one in {x.id for x in found}
    ]
    assert all(Path(one.location).resolve().is_relative_to(folder) for one in found)


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")
