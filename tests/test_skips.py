"""The machinery in conftest.py, on a small suite of its own in a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import pytest

def test_runs():
    pass

@pytest.mark.needs("java")
def test_needs_java():
    pass

@pytest.mark.needs("redis", "chromium")
def test_needs_more():
    pass

@pytest.mark.skip(reason="not today")
def test_is_marked():
    pass

def test_skips_itself():
    pytest.skip("nor this one")

@pytest.mark.xfail(strict=True)
def test_fails_as_expected():
    raise ValueError

@pytest.mark.parametrize("value", [__import__("pathlib").Path("a/b.toml")])
def test_has_an_id(value):
    pass
"""


@pytest.fixture
def suite(tmp_path):
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    (tmp_path / "test_suite.py").write_text(SUITE)
    return tmp_path


def run(folder, *paths, everything):
    # An empty PATH: every program is missing.
    environment = os.environ | {
        "PATH": "",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "STAGECAST_TEST_ALL": "1" if everything else "0",
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-vrs", *paths],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_is_missing_is_skipped_with_a_reason(suite):
    answer = run(suite, everything=False)
    assert answer.returncode == 0, answer.stdout
    assert "2 passed, 4 skipped, 1 xfailed" in answer.stdout
    assert "java is not installed: `make system` installs it" in answer.stdout
    assert "test_has_an_id[b.toml]" in answer.stdout


def test_where_everything_has_to_run_every_skip_is_a_failure(suite):
    answer = run(suite, everything=True)
    assert answer.returncode == 1, answer.stdout
    assert "1 failed, 2 passed, 1 xfailed, 3 errors" in answer.stdout
    assert "java is not installed" in answer.stdout
    assert "not today (with STAGECAST_TEST_ALL=1 a skip is a failure)" in answer.stdout


def test_where_everything_has_to_run_a_module_may_not_leave_itself_out(suite):
    (suite / "test_absent.py").write_text('import pytest\npytest.importorskip("no_such_module")\n')
    assert run(suite, everything=False).returncode == 0
    answer = run(suite, everything=True)
    assert answer.returncode == 2, answer.stdout
    assert "could not import 'no_such_module'" in answer.stdout


def test_a_skip_outside_the_tests_folder_is_a_failure_too(suite):
    tests = suite / "tests"
    tests.mkdir()
    (suite / "conftest.py").rename(tests / "conftest.py")
    (suite / "test_suite.py").unlink()
    (suite / "pytest.ini").write_text(
        "[pytest]\ntestpaths = tests package.py\naddopts = --doctest-modules\n"
    )
    (suite / "package.py").write_text('"""\n>>> 1 + 1  # doctest: +SKIP\n2\n"""\n')
    assert "1 skipped" in run(suite, everything=False).stdout
    assert "1 failed" in run(suite, everything=True).stdout
