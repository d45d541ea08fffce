"""Which release a command means: the champion, a published one, or a run's."""

import tempfile
from pathlib import Path

from features.errors import ReleaseError
from models.release import Release, champions, load_champion, load_release
from stagecast.configuration import Configuration

__all__ = ["find_release"]


def find_release(configuration: Configuration, name: str) -> Release:
    """Return the release `name`: "champion", a published release's name, or a run.

    Raises
    ------
    ReleaseError
        Where there is none; it names the run that could be promoted.
    """
    releases, threads = configuration.releases, configuration.settings.engine.threads
    if name == "champion":
        if champions(releases):
            return load_champion(releases, threads)
        raise ReleaseError(_no_champion(configuration))
    if (releases / name / "release.json").exists():
        return load_release(releases / name, threads)
    from training.track import Tracking

    tracking = Tracking(configuration.settings.tracking, configuration.folder)
    run = tracking.find_run(name)
    if run is None:
        raise ReleaseError(
            f"--release: {name!r} is neither a release in {releases} nor a run; "
            f"published are: {', '.join(sorted(champions(releases))) or 'none'}."
        )
    with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
        return load_release(tracking.release_folder(run, Path(scratch)), threads)


def _no_champion(configuration: Configuration) -> str:
    from training.track import Tracking

    run = Tracking(configuration.settings.tracking, configuration.folder).newest_run()
    config = configuration.path
    way = (
        f"promote the newest run: stagecast promote {config} {run}"
        if run
        else f"train one first: stagecast train {config} --as-of DATE"
    )
    return f"[releases] path: {configuration.releases} has no champion yet; {way}"
