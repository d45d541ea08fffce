"""What holds for every test: quiet libraries, one thread each, and skips that cannot hide.

Where a program is missing, the tests that need it are skipped and say so. With
``STAGECAST_TEST_ALL=1``, as on a server that builds, every skip is a failure.
"""

import os
import shutil
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.places import Place
    from tests.redis_servers import RedisServer
    from tests.worlds import TrainedWorld

# Before any library is imported: most of them read these once, when they are.
for _name, _value in {
    "BENTOML_DO_NOT_TRACK": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "NUMBA_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}.items():
    os.environ.setdefault(_name, _value)

# No example is timed: a machine may be busy with something else.
settings.register_profile("stagecast", deadline=None)
settings.load_profile("stagecast")

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
PROGRAMS = {"chromium": "chromium", "java": "java", "redis": "redis-server"}


class NoSkipIsSilent:
    """Makes each skip a failure; a plugin, because a conftest's hooks see its own folder only."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self,
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        # An expected failure is reported as a skip too; it did run, and xfail_strict guards it.
        return report if hasattr(report, "wasxfail") else _failed_if_skipped(report)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        return _failed_if_skipped((yield))


def _failed_if_skipped(report: Report) -> Report:
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = (
            f"{report.nodeid}: {reason} (with STAGECAST_TEST_ALL=1 a skip is a failure)"
        )
    return report


def pytest_configure(config: pytest.Config) -> None:
    programs = ", ".join(sorted(PROGRAMS))
    for line in (
        f"needs(*programs): skipped where one of them is missing; of {programs}",
        "fault: kills, starves, cuts off or pesters a process (`make faults` runs only these)",
    ):
        config.addinivalue_line("markers", line)
    if os.environ.get("STAGECAST_TEST_ALL") == "1":
        config.pluginmanager.register(NoSkipIsSilent())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that start or kill other programs: the longest ones end first."""
    long = {
        item.path
        for item in items
        if item.get_closest_marker("fault") or item.get_closest_marker("needs")
    }
    items.sort(key=lambda item: item.path not in long)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            if shutil.which(PROGRAMS[name]) is None:
                pytest.skip(f"{name} is not installed: `make system` installs it")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Features, stage models and files stand in a test's id by their name."""
    name = getattr(val, "name", None)
    return name if isinstance(name, str) else None


@pytest.fixture(scope="session")
def spark_runs() -> Iterator[None]:
    """Spark, started once: the engines of all tests attach to it."""
    from features.engine import EngineSettings, open_engine

    with pytest.MonkeyPatch.context() as patch:
        # Java compiles its own code half as long; no test runs for long enough to gain by more.
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
        settings = EngineSettings(name="spark", threads=2, memory_gb=1.0)
        with open_engine(settings, "UTC"):
            yield


@pytest.fixture(scope="session")
def redis_server() -> Iterator["RedisServer"]:
    """A Redis for all tests that do it no harm: each has a prefix of its own there."""
    from tests.redis_servers import RedisServer

    server = RedisServer()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(params=["lmdb", pytest.param("redis", marks=pytest.mark.needs("redis"))])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> "Place":
    """Where a history store will be, of each kind that there is."""
    from tests.places import lmdb_place, redis_place

    if request.param == "lmdb":
        return lmdb_place(tmp_path)
    return redis_place(request.getfixturevalue("redis_server"), tmp_path)


@pytest.fixture(scope="session")
def blank_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking database without runs: copy it, since a new one takes many seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("tracking") / "blank.db"
    # MLflow's tables ask SQLAlchemy for what it will remove, once, when they are first used.
    with warnings.catch_warnings(action="ignore"):
        MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def database(blank_database: Path) -> Path:
    """The tracking database of the runs whose number does not matter."""
    return Path(shutil.copy(blank_database, blank_database.with_name("mlflow.db")))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, blank_database: Path) -> "TrainedWorld":
    """A simulated world with its truth, and a champion that learnt moderately; do not change it."""
    from stagecast.simulation import simulate
    from stagecast.simulation.calendar import TIME_ZONE
    from tests.worlds import crowned, trained

    # A path with a blank, as on many a desk.
    folder = tmp_path_factory.mktemp("a world") / "of its own"
    summary = simulate(folder, 1_500, 200, seed=1, truth_pairs=400, replicas=60)
    shutil.copy(blank_database, folder / "mlflow.db")
    config = folder / "stagecast.toml"
    config.write_text(config.read_text() + "\n[engine]\nthreads = 1\n", encoding="utf-8")
    as_of = str(summary.as_of.astimezone(ZoneInfo(TIME_ZONE)).date())
    return crowned(config, trained(config, as_of, rounds=50, moments=15_000), as_of)


@pytest.fixture(scope="session")
def integers(tmp_path_factory: pytest.TempPathFactory, database: Path) -> "TrainedWorld":
    """A small random log with whole numbers for ids, and its champion; do not change it."""
    from tests.worlds import crowned, integer_log, trained, written_world

    config = written_world(tmp_path_factory.mktemp("integers"), integer_log(), database)
    return crowned(config, trained(config, "2025-03-20"), "2025-03-20")
