"""Many objects' content keys by listing: the same as one by one, for few requests."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multimodal_search import storage
from multimodal_search.errors import DataError
from multimodal_search.storage import s3_keys


def put(client: Any, bucket: str, *keys: str) -> None:
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())


def test_the_keys_are_those_of_each_object_and_only_of_what_is_there(s3_client: Any, bucket: str) -> None:
    here = ["images/a.jpg", "images/夜 b+c%20.jpg", "images/sub/d.jpg", "x"]
    put(s3_client, bucket, *(f"data/{path}" for path in here), "data2/images/e.jpg", "images/f.jpg")
    gone = ["images/e.jpg", "images/f.jpg", "images", "images/", "half \ud800.jpg", "long" * 500]
    found = storage.content_keys(f"s3://{bucket}/data", [*here, *gone, *here])
    assert found == {path: storage.content_key(f"s3://{bucket}/data/{path}") for path in here}
    assert storage.content_keys(f"s3://{bucket}", ["x", "images/f.jpg"]).keys() == {"images/f.jpg"}
    assert storage.content_keys(f"s3://{bucket}/data", []) == {}


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_lies_between_the_wanted_ones(
    s3_client: Any, new_bucket: Any, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    monkeypatch.setattr(s3_keys, "_PAGE_KEYS", 3)
    name = st.text("ab/é\U0001f600", min_size=1, max_size=4).filter(lambda key: not key.startswith("/"))
    there, asked = data.draw(st.sets(name, max_size=15)), data.draw(st.sets(name, max_size=10))
    bucket = new_bucket()
    put(s3_client, bucket, *(f"p/{key}" for key in there))
    assert storage.content_keys(f"s3://{bucket}/p", asked).keys() == there & asked


def test_a_page_of_objects_a_request(
    s3_client: Any, faulty: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_keys, "_PAGE_KEYS", 50)
    names = [f"{number:05d}.jpg" for number in range(120)]
    put(s3_client, bucket, *names)
    assert len(storage.content_keys(f"s3://{bucket}", names)) == 120
    assert faulty.requests["GET"] == 3


def test_a_missing_bucket_is_said(s3: str) -> None:
    with pytest.raises(DataError, match="'not-there' does not exist"):
        storage.content_keys("s3://not-there/x", ["a"])
