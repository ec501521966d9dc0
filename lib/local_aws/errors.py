"""Errors: those that AWS answers with, and that of the stand-in itself."""

from __future__ import annotations


class ApiError(Exception):
    """An error as AWS answers it; `code` is the name botocore's service model gives it."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class AccessDeniedError(ApiError):
    """A call that the policies do not allow; `sentence` says who may not do what, and why."""

    def __init__(self, code: str, sentence: str, message: str, status: int = 403) -> None:
        super().__init__(code, message, status)
        self.sentence = sentence


class LocalAwsError(Exception):
    """The stand-in cannot start or be reached: one sentence that says why and what to do."""
