"""What holds for every test: quiet libraries, one thread each, and skips that cannot hide.

Where a program is missing, the tests that need it are skipped and say so. With
``STAGECAST_TEST_ALL=1``, as on a server that builds, every skip is a failure.
"""

import os
import shutil
from collections.abc import Generator
from typing import TypeVar

import pytest

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
        "fault: kills, starves or cuts off a process (`make faults` runs only these)",
    ):
        config.addinivalue_line("markers", line)
    if os.environ.get("STAGECAST_TEST_ALL") == "1":
        config.pluginmanager.register(NoSkipIsSilent())


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            if shutil.which(PROGRAMS[name]) is None:
                pytest.skip(f"{name} is not installed: `make system` installs it")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Features, stage models and files stand in a test's id by their name."""
    name = getattr(val, "name", None)
    return name if isinstance(name, str) else None
