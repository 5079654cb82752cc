"""A store keeps what it is given, in a folder and on S3, and says plainly when it cannot."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capmat_errors import ConfigError, NotFound, StoreError
from storage.store.root import Root, checked_name
from storage.store.writers import mark


def test_what_is_written_can_be_read_and_replaced(root: Root) -> None:
    root.write("a/b.json", b"one")
    assert root.read("a/b.json") == b"one"
    root.write("a/b.json", b"two")
    assert root.read("a/b.json") == b"two"
    assert root.size("a/b.json") == 3


def test_what_was_never_written_is_not_found(root: Root) -> None:
    assert not root.exists("a/b")
    assert root.size("a/b") is None
    assert root.names("a") == []
    assert root.list("a") == []
    with pytest.raises(NotFound, match="a/b: nothing is stored here"):
        root.read("a/b")
    assert root.read_all(["a/b"]) == {}
    with pytest.raises(NotFound), root.parts("a/b"):
        pytest.fail("there is nothing to read parts of")


def test_parts_and_many_keys_are_read_like_wholes(root: Root) -> None:
    for key in ("a/1", "a/2"):
        root.write(key, key.encode() * 3)
    for whole in (False, True):
        with root.parts("a/2", whole=whole) as (size, fetch):
            assert size == 9
            assert list(fetch([(3, 4), (8, 1), (0, 2)])) == [b"a/2a", b"2", b"a/"]
    assert root.read_all(["a/1", "b", "a/2"]) == {"a/1": b"a/1a/1a/1", "a/2": b"a/2a/2a/2"}


def test_a_folder_is_no_key(root: Root) -> None:
    root.write("a/b/c", b"x")
    assert not root.exists("a/b")
    with pytest.raises(NotFound):
        root.read("a/b")


def test_keys_are_listed_by_folder(root: Root) -> None:
    for key in ("a/2", "a/1", "a/deep/3", "ab/4"):
        root.write(key, b"x")
    assert root.list("a") == ["a/1", "a/2", "a/deep/3"]
    assert root.list() == ["a/1", "a/2", "a/deep/3", "ab/4"]
    assert root.names("a") == ["1", "2", "deep"]


def test_deleting_takes_the_folder_and_not_its_neighbour(root: Root) -> None:
    for key in ("a/1", "a/deep/2", "ab/3"):
        root.write(key, b"x")
    root.delete("a")
    root.delete("never there")
    root.remove("never there")
    assert root.list() == ["ab/3"]


def test_a_name_is_given_to_only_one_of_many(root: Root) -> None:
    root.write("claims/0", b"")
    with ThreadPoolExecutor(6) as crowd:
        won = list(crowd.map(lambda n: root.create("claims/1", str(n).encode()), range(6)))
    assert won.count(True) == 1
    assert root.read("claims/1") == str(won.index(True)).encode()


def test_a_check_leaves_nothing_behind(root: Root) -> None:
    if root.remote:
        root.write(".probe", b"of a process that was killed")
    assert root.checked() is root
    assert root.list() == []


def test_a_check_removes_what_a_process_left_that_was_killed_in_it(tmp_path: Path) -> None:
    gone = "1_1_" + "_".join(mark().split("_")[2:])  # the first process of the machine began at another tick
    for writer in (gone, mark()):
        (tmp_path / f".probe.{writer}.0123.partial").write_bytes(b"capmat")
        (tmp_path / f"..probe.{gone}.0123.partial.{writer}.4567.partial").write_bytes(b"cap")
    Root(tmp_path).checked()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"..probe.{gone}.0123.partial.{mark()}.4567.partial",
        f".probe.{mark()}.0123.partial",
    ]


def test_writing_leaves_nothing_but_the_file(tmp_path: Path) -> None:
    Root(tmp_path).write("a", b"x")
    Root(tmp_path).create("a", b"y")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_it_travels_as_its_url_alone(s3_root: Root) -> None:
    s3_root.write("a", b"x")
    sent = pickle.dumps(s3_root)
    assert b"test" not in sent.replace(b"capmat-tests", b"")
    assert pickle.loads(sent) == s3_root


def test_other_schemes_are_refused() -> None:
    with pytest.raises(ConfigError, match="folder or s3"):
        Root("http://somewhere/else")


def test_a_relative_folder_means_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Root("store") == Root(tmp_path / "store") == Root(f"file://{tmp_path}/store/")


@given(st.text(max_size=12))
def test_a_name_never_leaves_its_folder(name: str) -> None:
    try:
        kept = checked_name("take", name)
    except ConfigError:
        return
    assert Path("/store", kept).parent == Path("/store")
    assert not kept.startswith(".")


def _line(error: pytest.ExceptionInfo[StoreError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert error.value.fix
    return text


def test_a_bucket_that_does_not_exist_is_named(s3_server: str) -> None:
    gone = Root("s3://no-such-bucket/store")
    for use in (gone.checked, lambda: gone.read("a"), lambda: gone.names("takes"), lambda: gone.exists("a")):
        with pytest.raises(StoreError) as error:
            use()
        assert "s3://no-such-bucket/store" in _line(error)
        assert "the bucket does not exist" in _line(error)


def test_a_store_whose_address_holds_the_word_bucket_works(s3_root: Root) -> None:
    named = Root(f"{s3_root}/bucket")
    assert not named.exists("a")
    assert named.names("takes") == []
    with pytest.raises(NotFound, match="nothing is stored here"):
        named.read("a")
    named.delete("a")


def test_missing_credentials_are_named(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.replace("127.0.0.1", "localhost"))
    with pytest.raises(StoreError) as error:
        Root("s3://capmat-tests/x").checked()
    assert "no S3 credentials" in _line(error)
    assert "AWS_ACCESS_KEY_ID" in _line(error)


def test_a_server_that_does_not_answer_is_named(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError) as error:
        Root("s3://capmat-tests/x").checked()
    assert "does not answer" in _line(error)
    assert "AWS_ENDPOINT_URL" in _line(error)


@pytest.mark.parametrize("given", ["", "file://"])
def test_an_empty_place_is_not_the_top_of_the_disk(given: str) -> None:
    with pytest.raises(ConfigError, match="no place is given"):
        Root(given)
    assert Root("/").url == "/"
