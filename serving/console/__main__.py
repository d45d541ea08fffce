"""The console's process: Streamlit, begun once all that pages need is there.

Streamlit itself reads its script at the first visit, so that whoever comes first would wait for
the libraries.
"""

import sys
from pathlib import Path

from streamlit.web import cli

import serving.console.app

if __name__ == "__main__":
    script = str(Path(serving.console.app.__file__))
    cli.main(["run", script, *sys.argv[1:]], prog_name="streamlit")
