"""Glue's transforms as functions of DynamicFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dynamicframe import DynamicFrame


class _Transform:
    method = ""

    @classmethod
    def apply(cls, frame: DynamicFrame, *arguments: Any, **options: Any) -> DynamicFrame:
        """The transformed frame."""
        changed: DynamicFrame = getattr(frame, cls.method)(*arguments, **options)
        return changed


class ApplyMapping(_Transform):
    """Columns renamed, cast and put in order."""

    method = "apply_mapping"


class SelectFields(_Transform):
    """Some columns alone."""

    method = "select_fields"


class DropFields(_Transform):
    """All columns but some."""

    method = "drop_fields"


class RenameField(_Transform):
    """One column renamed."""

    method = "rename_field"


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise NotImplementedError(
        f"local_aws's awsglue has no transform {name}; use Spark's own functions on toDF()."
    )
