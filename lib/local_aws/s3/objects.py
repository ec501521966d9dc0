"""S3 objects as plain files: `<directory>/<bucket>/<key>`; moto keeps the index, engines read and
write the files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import types
import uuid
from typing import TYPE_CHECKING, Any

import moto.s3.models as moto_s3
from moto.iam.access_control import PermissionResult
from moto.s3.utils import _VersionedKeyStore

from local_aws.errors import ApiError
from local_aws.names import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Objects:
    """The objects of every bucket. One at a time in a process: moto's S3 is made to keep its bytes
    here.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory  # <directory>/<bucket>/<key> is the object's current version
        # one file per version, linked to above
        self.contents = directory.parent / f"{directory.name}-contents"
        self.lock = threading.RLock()
        for each in (self.directory, self.contents):
            shutil.rmtree(each, ignore_errors=True)
            each.mkdir(parents=True)
        _keep_contents_in_files(self)
        moto_s3.S3Backend.put_object_lock_configuration = _lock

    def path(self, bucket: str, key: str) -> Path:
        """The file that holds an object (it need not exist)."""
        return self.directory / bucket / key

    def buckets(self) -> list[str]:
        """The names of the account's buckets."""
        return list(_backend().buckets)

    def bucket_exists(self, bucket: str) -> bool:
        """Whether the bucket has been created."""
        return bucket in _backend().buckets

    def owner(self, bucket: str) -> str | None:
        """The account that has the bucket, in whichever account it is: the names of all accounts
        are one name space.
        """
        _, account = moto_s3.s3_backends.bucket_accounts.get(bucket, (None, None))
        return account  # type: ignore[no-any-return]

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys below a prefix, sorted; raises ApiError NoSuchBucket."""
        index = self._index(bucket)
        return sorted(
            key
            for key in list(index)
            if key.startswith(prefix) and isinstance(index.get(key), moto_s3.FakeKey)
        )

    def put_file(
        self,
        bucket: str,
        key: str,
        file: Path,
        *,
        vended: bool = False,  # noqa: ARG002 - for AuthorizedObjects
        **_parameters: Any,
    ) -> None:
        """Move a finished file into the bucket as an object, all at once; raises ApiError
        NoSuchBucket.
        """
        self._index(bucket)
        target = self.path(bucket, key)
        with self.lock:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file, target)
            self._register(bucket, key, target)

    def delete(self, bucket: str, keys: list[str]) -> None:
        """Remove objects; raises ApiError NoSuchBucket."""
        index = self._index(bucket)
        for key in keys:
            if key in index:
                index.pop(key)

    def adopt(self, bucket: str, prefix: str = "") -> None:
        """Make the index agree with the files below a prefix, after an engine wrote or removed
        files there itself.
        """
        with self.lock:
            index, found = self._index(bucket), set()
            for key, file in self._files(bucket):
                if key.startswith(prefix):
                    found.add(key)
                    known = index.get(key)
                    if not isinstance(known, moto_s3.FakeKey) or getattr(
                        known, "stamp", None
                    ) != _stamp(file):
                        self._register(bucket, key, file)
            self.delete(
                bucket,
                [
                    key
                    for key in self.keys(bucket, prefix)
                    if key not in found and _is_file_key(key)
                ],
            )

    def _index(self, bucket: str) -> Any:
        if not self.bucket_exists(bucket):
            raise ApiError("NoSuchBucket", f"The specified bucket {bucket} does not exist", 404)
        return _backend().buckets[bucket].keys

    def _files(self, bucket: str) -> Iterator[tuple[str, Path]]:
        root = self.directory / bucket
        for folder, _, names in os.walk(root):
            for name in names:
                file = root / folder / name
                yield file.relative_to(root).as_posix(), file

    def _register(self, bucket: str, key: str, file: Path) -> None:
        """Index a file as the object's (new) current version."""
        fake = moto_s3.FakeKey(
            key, b"", ACCOUNT, _backend().buckets[bucket].region_name, bucket_name=bucket
        )
        _encrypt(fake)
        fake._value_buffer.close()  # noqa: SLF001 - moto has no public way to set contents without copying them
        content = self.contents / uuid.uuid4().hex
        os.link(file, content)
        fake._value_buffer.path, fake.contentsize = content, file.stat().st_size  # noqa: SLF001
        self._index(bucket)[key] = fake
        versions = self._index(bucket).getlist(key)
        if not _backend().buckets[bucket].is_versioned and len(versions) > 1:
            self._index(bucket).setlist(key, [fake])

    @staticmethod
    def _remove_empty_folders(folder: Path, root: Path) -> None:
        with contextlib.suppress(OSError):
            while folder != root:
                folder.rmdir()
                folder = folder.parent

    def link(self, bucket: str, key: str, versions: list[Any]) -> None:
        """Point `<bucket>/<key>` at the current version's content, or remove it when there is
        none.
        """
        if not _is_file_key(key):
            return
        target, current = self.path(bucket, key), versions[-1] if versions else None
        with self.lock:
            if isinstance(current, moto_s3.FakeKey):
                content = current._value_buffer.path  # noqa: SLF001
                # "a" beside "a/b"
                with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
                    if not (target.exists() and target.samefile(content)):
                        target.parent.mkdir(parents=True, exist_ok=True)
                        fresh = target.with_name(f".{uuid.uuid4().hex}")
                        os.link(content, fresh)
                        fresh.replace(target)
                    current.stamp = _stamp(target)
            elif target.is_file():
                target.unlink()
                self._remove_empty_folders(target.parent, self.directory / bucket)


class _Content:
    """What moto's FakeKey expects of a spooled temporary file, as a named file."""

    def __init__(self, path: Path) -> None:
        self.path, self.position = path, 0
        path.touch()

    def seek(self, position: int) -> None:
        self.position = position

    def truncate(self) -> None:
        os.truncate(self.path, self.position)

    def write(self, data: bytes) -> None:
        with self.path.open("r+b") as file:
            file.seek(self.position)
            file.write(data)
        self.position += len(data)

    def read(self, size: int = -1) -> bytes:
        if not self.path.exists():
            raise ValueError("I/O operation on closed file")  # moto expects this of a disposed key
        with self.path.open("rb") as file:
            file.seek(self.position)
            data = file.read(size)
        self.position += len(data)
        return data

    def close(self) -> None:
        self.path.unlink(missing_ok=True)


class _SharedContent(_Content):
    """A listing's copy of a key: the same file, never touched or deleted by it."""

    def __init__(self, path: Path) -> None:
        self.path, self.position = path, 0

    def close(self) -> None:
        pass


def _keep_contents_in_files(objects: Objects) -> None:
    """Make moto's S3 keep every object's bytes in `objects`, and leave bucket policies to the
    caller of moto.
    """

    class Keys(_VersionedKeyStore):
        bucket = ""

        # under one lock with adopt(), which must never see an entry whose file is not there yet
        def setlist(self, key: str, list_: Any) -> None:
            with objects.lock:
                super().setlist(key, list_)
                objects.link(self.bucket, key, self.getlist(key, []))

        def __setitem__(self, key: str, value: Any) -> None:
            with objects.lock:
                super().__setitem__(key, value)
                objects.link(self.bucket, key, self.getlist(key, []))

        def pop(self, key: str, *_default: Any) -> None:
            with objects.lock:
                super().pop(key)
                objects.link(self.bucket, key, [])

    def with_files(self: Any, name: str, *arguments: Any, **settings: Any) -> None:
        original_init(self, name, *arguments, **settings)
        self.keys = Keys()
        self.keys.bucket = name
        (objects.directory / name).mkdir(exist_ok=True)

    def shallow_copy(self: Any, _memo: Any) -> Any:
        copied = moto_s3.FakeKey.__new__(moto_s3.FakeKey)
        copied.__dict__.update(
            self.__dict__,
            multipart=None,
            disposed=True,
            _value_buffer=_SharedContent(self._value_buffer.path),
        )
        return copied

    bucket_class: Any = moto_s3.FakeBucket
    original_init = getattr(bucket_class, "init_of_moto", bucket_class.__init__)
    bucket_class.init_of_moto, bucket_class.__init__ = original_init, with_files
    # moto takes every condition of a bucket policy for true, so that "deny without TLS" would deny
    # all.
    bucket_class.get_permission = lambda _self, _action, _resource: PermissionResult.NEUTRAL
    moto_s3.FakeKey.__deepcopy__ = shallow_copy
    moto_s3.tempfile = types.SimpleNamespace(
        SpooledTemporaryFile=lambda *_: _Content(objects.contents / uuid.uuid4().hex)
    )


def _lock(
    self: Any,
    bucket_name: str,
    lock_enabled: bool,
    mode: str | None = None,
    days: int | None = None,
    years: int | None = None,
) -> None:
    """Moto's own refuses a bucket with objects in it, which AWS has not done since November
    2023.
    """
    bucket = self.get_bucket(bucket_name)
    if not bucket.is_versioned:
        raise moto_s3.InvalidBucketState(
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
        )
    bucket.object_lock_enabled = bucket.object_lock_enabled or lock_enabled
    bucket.default_lock_mode, bucket.default_lock_days, bucket.default_lock_years = (
        mode,
        days,
        years,
    )


def _encrypt(fake: Any) -> None:
    """Mark an object that an engine wrote as encrypted the way its bucket encrypts by default."""
    if configured := _backend().buckets[fake.bucket_name].encryption:
        rule = configured["Rule"]
        by_default = rule["ApplyServerSideEncryptionByDefault"]
        fake.encryption, fake.kms_key_id = (
            by_default["SSEAlgorithm"],
            by_default.get("KMSMasterKeyID"),
        )
        fake.bucket_key_enabled = rule.get("BucketKeyEnabled")


def _backend() -> Any:
    return moto_s3.s3_backends[ACCOUNT]["aws"]


def _is_file_key(key: str) -> bool:
    """Whether a key can be a file's path: no empty, dot or too long part (`folder/` markers stay in
    moto alone).
    """
    return all(part not in ("", ".", "..") and len(part.encode()) <= 250 for part in key.split("/"))


def _stamp(file: Path) -> tuple[int, int, int]:
    """What changes when an engine writes the file anew."""
    stat = file.stat()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
