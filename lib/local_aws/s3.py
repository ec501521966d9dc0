"""S3 objects as plain files: `<directory>/<bucket>/<key>`; moto keeps the index, engines read and write the files."""

from __future__ import annotations

from pathlib import Path


class Objects:
    """The objects of every bucket."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory  # <directory>/<bucket>/<key>; a file here is the object's current version

    def path(self, bucket: str, key: str) -> Path:
        """The file that holds an object (it need not exist)."""
        raise NotImplementedError

    def bucket_exists(self, bucket: str) -> bool:
        """Whether the bucket has been created."""
        raise NotImplementedError

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys below a prefix, sorted; raises ApiError NoSuchBucket."""
        raise NotImplementedError

    def put_file(self, bucket: str, key: str, file: Path) -> None:
        """Move a finished file into the bucket as an object, all at once."""
        raise NotImplementedError

    def delete(self, bucket: str, keys: list[str]) -> None:
        """Remove objects."""
        raise NotImplementedError

    def adopt(self, bucket: str, prefix: str = "") -> None:
        """Make the index agree with the files below a prefix, after an engine wrote or removed files there itself."""
        raise NotImplementedError
