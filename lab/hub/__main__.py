"""`python -m lab.hub ROOT PORT` serves the repositories under ROOT on the loopback interface."""

import sys
from pathlib import Path

from aiohttp import web

from lab.hub import create_app

if __name__ == "__main__":
    web.run_app(create_app(Path(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[2]))
