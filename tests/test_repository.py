"""What stands in the repository beside the code: the lock, the commands, the documents."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
# What belongs to one machine, or says where packages come from.
PRIVATE = re.compile(
    r"(?<![\w.~*-])/(?:work|root|opt|mnt)/|(?<!\w)/(?:home|Users)/\w"
    r"|(?:^|\s)--(?:extra-)?index-url|(?:^|\s)--find-links|pypi[.]org|python[h]osted",
    re.MULTILINE,
)


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def project():
    return tomllib.loads(text("pyproject.toml"))


def declared():
    """The direct requirements: the core's, every extra's, and what builds."""
    metadata = project()["project"]
    extras = metadata["optional-dependencies"].values()
    every = [metadata["dependencies"], *extras, project()["build-system"]["requires"]]
    return sorted({line for lines in every for line in lines})


def locked():
    """The lock's entries: (name, version, hashes), one for each line that is not indented."""
    entries = re.findall(
        r"^(\S+?)==(\S+)([^\n]*\n(?:[ ]+\S[^\n]*\n)*)", text("requirements.lock"), re.M
    )
    return [
        (name, version, re.findall(r"sha256:[0-9a-f]{64}\b", rest))
        for name, version, rest in entries
    ]


def targets():
    return re.findall(r"^([a-z-]+):.*## ", text("Makefile"), re.MULTILINE)


def files():
    """Every file that is, or could be, committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def test_the_lock_has_a_hash_for_every_package():
    lines = [line for line in text("requirements.lock").splitlines() if line[:1] not in " #"]
    assert len(locked()) == len(lines) > 100
    assert [name for name, _, hashes in locked() if not hashes] == []


def test_the_lock_says_nothing_of_where_packages_come_from():
    options = [line for line in text("requirements.lock").splitlines() if line.startswith("-")]
    assert options == []
    assert "://" not in text("requirements.lock")
    assert " @ " not in text("requirements.lock")


@pytest.mark.parametrize("line", declared())
def test_a_requirement_is_locked_within_its_bounds_which_have_a_lower_end(line):
    requirement = Requirement(line)
    versions = [v for name, v, _ in locked() if name == canonicalize_name(requirement.name)]
    assert versions, f"{requirement.name} is not in requirements.lock: make lock"
    assert all(Version(version) in requirement.specifier for version in versions)
    assert {bound.operator for bound in requirement.specifier} & {">=", "=="}


@pytest.mark.parametrize("line", declared())
def test_a_requirement_has_its_reason_in_the_decisions(line):
    assert f"`{Requirement(line).name}`" in text("docs/decisions.md")


def test_no_file_names_a_machines_folder_or_a_registry():
    found = []
    for path in files():
        try:
            content = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(ROOT)}: {hit.group().strip()}" for hit in PRIVATE.finditer(content)
        ]
    assert found == []


@pytest.mark.parametrize("target", targets())
def test_a_make_command_is_documented(target):
    assert re.search(rf"`make {target}\b", text("README.md")), f"README: no `make {target}`"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_a_documented_make_command_exists(page):
    code = re.findall(r"^```sh\n(.*?)^```", text(page), re.S | re.M)
    code += re.findall(r"`[^`\n]+`", re.sub(r"^```.*?^```", "", text(page), flags=re.S | re.M))
    assert set(re.findall(r"\bmake ([a-z-]+)", "\n".join(code))) <= set(targets())


def test_ci_runs_makes_commands_and_nothing_else():
    assert os.access(ROOT / ".ci/run", os.X_OK)
    lines = [line for line in text(".ci/run").splitlines() if line and not line.startswith("#")]
    commands = [
        line for line in lines if not re.match(r"set -|cd |export STAGECAST_TEST_ALL=1$", line)
    ]
    ran = [target for line in commands for target in line.removeprefix("make ").split()]
    assert all(line.startswith("make ") for line in commands)
    assert set(ran) == {"system", "demo", "check", "test"} <= set(targets())


def test_the_changelog_has_this_version():
    assert f"## [{project()['project']['version']}]" in text("CHANGELOG.md")
