"""GlueContext: a Spark session with readers and writers for files in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

from .dynamicframe import DynamicFrame

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import DataFrame

FORMATS = ("parquet", "csv", "json")
# https://docs.aws.amazon.com/glue/latest/dg/aws-glue-programming-etl-format-csv-home.html ->
# Spark's option
CSV_OPTIONS = {
    "withHeader": "header",
    "separator": "sep",
    "quoteChar": "quote",
    "escaper": "escape",
}


class GlueContext:
    """What most scripts for AWS Glue start with."""

    def __init__(self, sparkContext: SparkContext, **_: Any) -> None:  # noqa: N803 - Glue's name
        self.spark_session = SparkSession.builder.getOrCreate()
        self._ssql_ctx, self._sc = self.spark_session, sparkContext
        self.create_dynamic_frame = _Frames(self, DynamicFrame.fromDF)
        self.create_data_frame = _Frames(self, lambda dataframe, _context, _name: dataframe)
        self.write_dynamic_frame = _Frames(self, None)

    def get_logger(self) -> Any:
        """A logger with info, warn, error; what it writes goes to the run's error log."""
        context: Any = self.spark_session.sparkContext
        return context._jvm.org.apache.log4j.LogManager.getLogger("GlueLogger")  # noqa: SLF001 - as Glue does

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(
            f"local_aws's awsglue has no GlueContext.{name}; use the Spark session's own functions."
        )


class _Frames:
    """The `from_…` functions of GlueContext's readers and writers."""

    def __init__(self, context: GlueContext, make: Any) -> None:
        self._context, self._make = context, make

    def from_options(self, *arguments: Any, **options: Any) -> Any:
        """Read files of S3 (connection_type, connection_options, format, format_options), or append
        a frame to them.
        """
        if self._make is None:
            return self._write(*arguments, **options)
        return self._read(*arguments, **options)

    def _read(
        self,
        connection_type: str,
        connection_options: dict[str, Any],
        format: str,  # noqa: A002 - Glue's name
        format_options: dict[str, Any] | None = None,
        transformation_ctx: str = "",
    ) -> Any:
        _check(connection_type, format, connection_options, ("paths", "recurse"))
        reader = self._context.spark_session.read.format(format).options(
            **_options(format, format_options)
        )
        if connection_options.get("recurse"):
            reader = reader.option("recursiveFileLookup", "true")
        dataframe: DataFrame = reader.load(connection_options["paths"])
        return self._make(dataframe, self._context, transformation_ctx)

    def _write(
        self,
        frame: DynamicFrame,
        connection_type: str,
        connection_options: dict[str, Any],
        format: str,  # noqa: A002 - Glue's name
        format_options: dict[str, Any] | None = None,
        **_: Any,
    ) -> DynamicFrame:
        _check(connection_type, format, connection_options, ("path", "partitionKeys"))
        writer = frame.toDF().write.mode("append").format(format)
        if format == "csv":
            writer = writer.option("header", "true")
        writer = writer.options(**_options(format, format_options))
        writer.partitionBy(*connection_options.get("partitionKeys", [])).save(
            connection_options["path"]
        )
        return frame

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(
            f"local_aws's awsglue reads and writes by from_options, not by {name}."
        )


def _check(
    connection_type: str, form: str, options: dict[str, Any], known: tuple[str, ...]
) -> None:
    if connection_type != "s3" or form not in FORMATS or set(options) - set(known):
        raise NotImplementedError(
            f"local_aws's awsglue does s3 with {', '.join(FORMATS)} and the options"
            f" {', '.join(known)}, not {connection_type} {form} with {', '.join(options)}."
        )


def _options(form: str, given: dict[str, Any] | None) -> dict[str, str]:
    """Format options under Spark's names."""
    names = (
        CSV_OPTIONS
        if form == "csv"
        else {"compression": "compression"}
        if form == "parquet"
        else {}
    )
    if others := set(given or {}) - set(names):
        raise NotImplementedError(
            f"local_aws's awsglue does not do the {form} options {', '.join(sorted(others))}."
        )
    return {
        names[name]: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in (given or {}).items()
    }
