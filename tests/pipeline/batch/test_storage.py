"""Object stores, by the one that fsspec keeps in memory."""

import io
import random
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from esrt_core.errors import RemoteError, TargetError
from esrt_core.media.image.picture import RemoteFile
from esrt_core.pipeline.batch.object_store import HEAD_BYTES, ObjectStore
from esrt_core.pipeline.batch.storage import LocalStore, join, store_of


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    yield ObjectStore("memory")
    fsspec.filesystem("memory").store.clear()


def test_what_is_put_is_listed_and_read_under_any_name(store: ObjectStore) -> None:
    keys = ["a.png", "s/b [1]?#.png", "s/t/c.png"]
    for key in keys:
        store.write(join("memory://b/in", key), key.encode())
    listing = store.listing("memory://b/in")
    assert sorted(listing) == keys
    assert listing["a.png"].size == 5
    assert list(store.listing("memory://b/in/a.png")) == [""]
    assert store.listing("memory://b/nothing") == {}
    locations = [join("memory://b/in", key) for key in (*keys, "gone")]
    assert store.read_all(locations) == [*(key.encode() for key in keys), None]
    assert sorted(store.directly("memory://b/in")) == ["a.png"]
    assert [location.rpartition("/")[2] for location in store.matches("memory://b/in/*.png")] == ["a.png"]


def test_what_is_written_again_has_another_stamp(store: ObjectStore) -> None:
    store.write("memory://b/a", b"1")
    before = store.listing("memory://b")["a"].stamp
    store.write("memory://b/a", b"2")
    assert store.listing("memory://b")["a"].stamp != before
    store.remove("memory://b/a")
    store.remove("memory://b/a")
    assert store.listing("memory://b") == {}


def test_what_is_appended_comes_after_what_is_there(store: ObjectStore, tmp_path: Path) -> None:
    for each, location in ((store, "memory://b/log"), (LocalStore(), str(tmp_path / "log"))):
        each.append(location, b"one")
        each.append(location, b" two")
        assert each.read(location) == b"one two"
    with pytest.raises(TargetError, match="gone/log cannot be written: No such file"):
        LocalStore().append(str(tmp_path / "gone/log"), b"x")


def test_a_large_object_is_read_where_it_is_asked_for(store: ObjectStore) -> None:
    content = random.Random(1).randbytes(3 * HEAD_BYTES + 5)
    store.write("memory://b/a", content)
    items = {f"memory://b/{key}": item for key, item in store.listing("memory://b").items()}
    (source,) = store.sources(items, ["its name"])
    assert isinstance(source, RemoteFile)
    with source.open() as file:
        assert file.seek(0, io.SEEK_END) == len(content)
        assert file.seek(-7, io.SEEK_END) == len(content) - 7
        assert file.read() == content[-7:]
        file.seek(HEAD_BYTES - 3)
        assert file.read(9) == content[HEAD_BYTES - 3 : HEAD_BYTES + 6]
        file.seek(0)
        assert file.read() == content


def test_what_a_store_says_is_one_line(store: ObjectStore) -> None:
    with pytest.raises(RemoteError, match="memory://b/gone does not exist; check the bucket and the path"):
        store.read("memory://b/gone")
    with pytest.raises(RemoteError, match="unknown scheme nonsense://; use s3://, gs:// or file://"):
        store_of("nonsense://b/a")
    with pytest.raises(TargetError, match="the key is longer than 1024 bytes"):
        store.check("memory://b/" + 1025 * "a")
