"""DynamicFrame: here a thin wrapper round a Spark DataFrame, with one type for each column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F  # noqa: N812 - its usual name

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Glue's name -> Spark's, where they differ
GLUE_TYPES = {"long": "bigint", "short": "smallint", "byte": "tinyint"}


class DynamicFrame:
    """Rows with named columns, as scripts for AWS Glue expect them."""

    def __init__(self, dataframe: DataFrame, glue_ctx: Any, name: str = "") -> None:
        self._dataframe, self.glue_ctx, self.name = dataframe, glue_ctx, name

    @classmethod
    def fromDF(cls, dataframe: DataFrame, glue_ctx: Any, name: str) -> DynamicFrame:
        """A frame over a DataFrame."""
        return cls(dataframe, glue_ctx, name)

    def toDF(self) -> DataFrame:
        """The DataFrame itself."""
        return self._dataframe

    def count(self) -> int:
        """The number of rows."""
        return int(self._dataframe.count())

    def printSchema(self) -> None:
        """Print the columns."""
        self._dataframe.printSchema()

    def apply_mapping(self, mappings: list[tuple[str, ...]], **_: Any) -> DynamicFrame:
        """The columns (source, source type, target, target type) or (source, target), in this
        order.
        """
        columns = []
        for mapping in mappings:
            source, target = mapping[0], mapping[2] if len(mapping) == 4 else mapping[1]
            column = F.col(_quoted(source))
            kind = GLUE_TYPES.get(mapping[3], mapping[3]) if len(mapping) == 4 else None
            columns.append((column.cast(kind) if kind else column).alias(target))
        return self._with(self._dataframe.select(*columns))

    def select_fields(self, paths: list[str], **_: Any) -> DynamicFrame:
        """These columns alone."""
        return self._with(self._dataframe.select(*map(_quoted, paths)))

    def drop_fields(self, paths: list[str], **_: Any) -> DynamicFrame:
        """All columns but these."""
        return self._with(self._dataframe.drop(*paths))

    def rename_field(self, oldName: str, newName: str, **_: Any) -> DynamicFrame:  # noqa: N803 - Glue's names
        """One column under another name."""
        return self._with(self._dataframe.withColumnRenamed(oldName, newName))

    def _with(self, dataframe: DataFrame) -> DynamicFrame:
        return DynamicFrame(dataframe, self.glue_ctx, self.name)

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(
            f"local_aws's awsglue has no DynamicFrame.{name}; use toDF() and Spark's own functions."
        )


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
