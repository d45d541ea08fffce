"""The console's process: Streamlit, begun once all that pages need is there.

Streamlit itself reads its script at the first visit, so that whoever comes first would wait for
the libraries, and for the files that pages begin with.
"""

import sys
from pathlib import Path

from streamlit.web import cli

import serving.console.app
from serving.console.settings import ConsoleSettings
from serving.console.sources import read_ahead

if __name__ == "__main__":
    script = str(Path(serving.console.app.__file__))
    read_ahead(ConsoleSettings.told())
    cli.main(["run", script, *sys.argv[1:]], prog_name="streamlit")
