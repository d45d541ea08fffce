"""The packages are this checkout's: a foreign one called `models` would win without a word."""

import importlib
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("features", "models", "training", "serving", "stagecast")


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_is_this_checkouts(name):
    assert Path(importlib.import_module(name).__file__) == ROOT / name / "__init__.py"


def test_the_wheel_the_types_and_the_import_rules_cover_the_same_packages():
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert tuple(tool["hatch"]["build"]["targets"]["wheel"]["packages"]) == PACKAGES
    assert tuple(tool["mypy"]["packages"]) == PACKAGES
    assert tuple(tool["importlinter"]["root_packages"]) == PACKAGES


def test_imports_run_one_way():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    layers = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    assert layers == [["stagecast", "training | serving", "models", "features"]]


def test_tests_are_flat():
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert folders <= {"__pycache__"}
    assert not (ROOT / "tests" / "__init__.py").exists()
