"""A file of results that is there as a whole or not at all."""

import os
from pathlib import Path

from features.errors import ConfigError

__all__ = ["WholeFile"]


class WholeFile:
    """A text file to come; asked for early, so that a wrong path costs no work.

    Parameters
    ----------
    path : the file; an older one is replaced.
    option : who asks, for the errors' text.

    Raises
    ------
    ConfigError
        If `path` is a folder, or its own folder is missing.
    """

    def __init__(self, path: Path, option: str) -> None:
        self.path, self._option = path, option
        if path.is_dir():
            raise ConfigError(f"{option}: {path} is a folder; name a file.")
        if not path.parent.is_dir():
            raise ConfigError(
                f"{option}: {path} cannot be written, for there is no folder {path.parent}. "
                "Make it, or name another file."
            )

    def write(self, text: str) -> None:
        """Write the text beside the file, and then let it take its place."""
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            partial.write_text(text, encoding="utf-8")
            os.replace(partial, self.path)
        except OSError as error:
            raise ConfigError(
                f"{self._option}: {self.path} cannot be written ({error.strerror})."
            ) from error
        finally:
            partial.unlink(missing_ok=True)
