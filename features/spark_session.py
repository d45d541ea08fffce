"""Spark sessions: the one that runs, or one that is started, here or where Spark is told to."""

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from features.engine import STREAM_ROWS, EngineSettings
from features.errors import ConfigError

__all__ = ["open_session", "quiet_pandas"]

_CONFIGURED: Final = (
    "MASTER",
    "PYSPARK_GATEWAY_PORT",
    "SPARK_CONF_DIR",
    "SPARK_HOME",
    "SPARK_REMOTE",
)
"""Where one of these is set, Spark's own configuration says where it runs."""

_LOG4J: Final = """\
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c: %m%n%ex
"""


@contextmanager
def quiet_pandas() -> Iterator[None]:
    """Pass over what pyspark says of pandas 3: no frame of pandas ever comes near it here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        yield


def open_session(
    settings: EngineSettings, time_zone: str, scratch: Path
) -> tuple[SparkSession, bool]:
    """Return a session with settings of its own, and whether Spark was started for it."""
    with quiet_pandas():
        try:
            running, started = SparkSession.active(), False
        except PySparkRuntimeError:
            running, started = _start(settings, scratch), True
        session = running.newSession()
    for key, value in _conf(time_zone).items():
        session.conf.set(key, value)
    return session, started


def _conf(time_zone: str) -> Mapping[str, str]:
    return {
        "spark.sql.session.timeZone": time_zone,
        "spark.sql.ansi.enabled": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(STREAM_ROWS),
        # Parquet's nanoseconds are refused otherwise; `spark_sources` makes instants of them.
        "spark.sql.legacy.parquet.nanosAsLong": "true",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    }


def _start(settings: EngineSettings, scratch: Path) -> SparkSession:
    try:
        if any(os.environ.get(name) for name in _CONFIGURED):
            return SparkSession.builder.appName("stagecast").getOrCreate()
        return _start_here(settings, scratch)
    except Exception as error:  # Whatever keeps a machine from running Java.
        raise ConfigError(
            f'[engine] name = "spark": Spark does not start here ({_first_line(error)}). It needs '
            "Java 17 or newer; or point SPARK_CONF_DIR at the configuration of a cluster."
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _start_here(settings: EngineSettings, scratch: Path) -> SparkSession:
    """Start Spark inside this machine, as quietly as Java allows."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    log4j = scratch / "log4j2.properties"
    log4j.write_text(_LOG4J, encoding="utf-8")
    conf = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={log4j.as_uri()}",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.maxResultSize": "0",
        "spark.driver.memory": f"{round(settings.memory_gb * 1024)}m",
        "spark.local.dir": str(scratch / "spark"),
        "spark.sql.shuffle.partitions": str(2 * settings.threads),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    builder: Any = SparkSession.builder.appName("stagecast").master(f"local[{settings.threads}]")
    with _stderr_in(scratch / "spark.log"):
        return builder.config(map=conf).getOrCreate()  # type: ignore[no-any-return]


@contextmanager
def _stderr_in(path: Path) -> Iterator[None]:
    """Let Java, which inherits it, say into a file what nobody asked for (and say it for good)."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with path.open("ab") as stream:
            os.dup2(stream.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
