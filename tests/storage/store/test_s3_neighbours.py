"""A store on S3 touches its own objects only, whatever characters its address has. boto3 looks after the others."""

import json
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest

from capmat_errors import ConfigError, NotFound, StoreError
from storage.export.mattes import export_mattes
from storage.store.root import Root
from storage.takes.take import Take
from storage.upkeep.verify import verify
from tasks.ingest.plates import ingest_plates
from tasks.ingest.take import ingest_take
from tests.storage.tiny_session import HEIGHT, WIDTH, write_session

NEIGHBOURS = [
    ("stage [A]", "stage A"),
    ("st*r", "star"),
    ("a?b", "axb"),
    ("[!x]", "y"),
    ("**", "deep/er"),
    ("a%41", "aA"),
    ("a+b", "a b"),
    ("a#b", "a"),
    ("a//b", "a/b"),
    ("{a,b}", "a"),
    ("x/../a", "a"),
]


def objects(place: Root) -> dict[str, tuple[bytes, Any]]:
    """What boto3 finds below an address: bytes and time of writing."""
    bucket, _, prefix = place.url.removeprefix("s3://").partition("/")
    client, found = boto3.client("s3"), {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
        for item in page.get("Contents", []):
            data = client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            found[item["Key"].removeprefix(f"{prefix}/")] = (data, item["LastModified"])
    return found


@pytest.mark.parametrize(("name", "beside"), NEIGHBOURS)
def test_every_verb_touches_its_own_objects_only(s3_root: Root, tmp_path: Path, name: str, beside: str) -> None:
    ours, other = Root(f"{s3_root}/{name}"), Root(f"{s3_root}/{beside}")
    for key in ("t/1", "t/2", "t/deep/3", f"t/{name}/4", "u/5"):
        other.write(key, f"other {key}".encode())
    before = objects(other)
    assert len(before) == 5

    assert ours.checked() is ours
    assert ours.list() == ours.list("t") == ours.names("t") == []
    assert ours.read_all(["t/1", "t/2"]) == {}
    assert not ours.exists("t/1")
    with pytest.raises(NotFound):
        ours.read("t/1")
    with pytest.raises(NotFound):
        ours.fetch("t/1", tmp_path / "never")
    for gone in ("t", "t/1", "never"):
        ours.delete(gone)
        ours.remove(gone)
    assert objects(other) == before

    keys = ["t/1", "t/2", "t/deep/3", f"t/{name}/4", f"t/{beside}/4"]
    for key in keys:
        ours.write(key, f"ours {key}".encode())
    assert {key: data for key, (data, _) in objects(ours).items()} == {key: f"ours {key}".encode() for key in keys}
    assert ours.read_all([*keys, "never"]) == {key: f"ours {key}".encode() for key in keys}
    assert ours.list() == ours.list("t") == sorted(keys)
    assert ours.names("t") == sorted({key.split("/")[1] for key in keys})
    assert ours.sizes(f"t/{name}") == {f"t/{name}/4": len(f"ours t/{name}/4")}
    ours.fetch(f"t/{name}/4", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == f"ours t/{name}/4".encode()
    with ours.parts("t/1") as (size, read):
        assert (size, list(read([(0, 4)]))) == (8, [b"ours"])
    with ours.file("t/made") as path:
        path.write_bytes(b"made")
    assert ours.create("t/new", b"new")
    assert not ours.create("t/new", b"newer")
    ours.sweep("t/1")
    ours.remove("t/2")
    ours.delete("t/1")
    ours.delete(f"t/{name}")
    assert set(objects(ours)) == {"t/deep/3", f"t/{beside}/4", "t/made", "t/new"}
    ours.delete("t")
    assert objects(ours) == {}
    assert objects(other) == before


def test_more_objects_than_one_request_removes_are_all_removed(
    s3_root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.store.s3._AT_ONCE", 2)
    for number in range(5):
        s3_root.write(f"[t]/{number}", b"x")
    s3_root.write("t/1", b"x")
    s3_root.delete("[t]")
    assert list(objects(s3_root)) == ["t/1"]


def test_what_s3_refuses_to_remove_is_named(s3_root: Root) -> None:
    for key in ("t/1", "t/2"):
        s3_root.write(key, b"x")
    bucket, _, prefix = s3_root.url.removeprefix("s3://").partition("/")
    kept = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject"}
    kept["Resource"] = f"arn:aws:s3:::{bucket}/{prefix}/t/2"
    client = boto3.client("s3")
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [kept]}))
    try:
        with pytest.raises(StoreError, match="AccessDenied for .*t/2"):
            s3_root.delete("t")
    finally:
        client.delete_bucket_policy(Bucket=bucket)
    assert s3_root.list() == ["t/2"]


def _work(root: Root, session: Path) -> None:
    ingest_plates(root.url, session)
    ingest_take(root.url, session, "walk")


@pytest.mark.parametrize(("name", "beside"), NEIGHBOURS[:3])
def test_an_ingest_leaves_the_store_beside_it_alone(s3_root: Root, tmp_path: Path, name: str, beside: str) -> None:
    ours, other = Root(f"{s3_root}/{name}"), Root(f"{s3_root}/{beside}")
    session = write_session(tmp_path / "session", frames=2)
    _work(other, session)
    before = objects(other)

    _work(ours, session)
    assert objects(ours).keys() == before.keys()
    take = Take.open(ours, "walk")
    take.start_run("r", {"name": "m", "version": "v0001"})
    take.write_alphas("r", "c00", {frame: np.eye(HEIGHT, WIDTH, dtype=np.float32) for frame in take.frames})
    out = Root(f"{ours}/out {name}")
    export_mattes(take, "r", out, ("exr",), cameras=("c00",))
    assert [key[-11:] for key in objects(out) if key.endswith("exr")] == [".000000.exr", ".000001.exr"]
    assert objects(other) == before
    assert verify(other, deep=True).damaged == verify(ours, deep=True).damaged == []


@pytest.mark.parametrize("address", ["cap/st?versionId=1", "cap?versionId=1/st", "cap//st", "/cap/st", ""])
def test_an_address_that_s3fs_takes_for_another_is_refused_before_work(address: str) -> None:
    with pytest.raises(ConfigError) as error:
        Root(f"s3://{address}")
    assert "\n" not in str(error.value)
    assert error.value.fix


def test_a_file_whose_name_s3fs_takes_for_another_is_not_read_for_it(s3_root: Root, tmp_path: Path) -> None:
    s3_root.write("day/0001.png", b"another picture")
    bucket, _, prefix = s3_root.url.removeprefix("s3://").partition("/")
    key = "day/0001.png?versionId=2"
    boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=b"x")
    assert s3_root.list() == ["day/0001.png", key]
    before = objects(s3_root)
    for use in (s3_root.read, s3_root.delete, s3_root.remove, lambda key: s3_root.fetch(key, tmp_path / "copy")):
        with pytest.raises(ConfigError, match="versionId"):
            use(key)
    s3_root.delete("day")
    assert objects(s3_root) == {}
    assert len(before) == 2
