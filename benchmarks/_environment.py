"""An environment of its own for featuretools, which wants older libraries than this project."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

__all__ = ["build_environment"]

# 1.31 imports pkg_resources, which setuptools 81 dropped, and fails with pandas 3.
_PACKAGES: Final = ("featuretools>=1.31", "setuptools<81", "pandas<3", "pyarrow")


def build_environment(folder: Path) -> Path | None:
    """Install featuretools into `folder`; return its Python, or None where that cannot be."""
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    python = folder / "bin" / "python"
    if uv is None:
        return None
    try:
        for command in (
            [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", str(python), *_PACKAGES],
            [str(python), "-W", "ignore", "-c", "import featuretools"],
        ):
            subprocess.run(command, check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError):
        return None
    return python


def version_of(python: Path, package: str) -> str:
    """Return the version of an installed package."""
    said = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([str(python), "-c", said], check=True, capture_output=True, text=True)
    return done.stdout.strip()
