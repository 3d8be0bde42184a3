"""The command line: ``aotconv`` or ``python -m aotconv``."""

import sys

from ._tools.cli import main

if __name__ == "__main__":
    sys.exit(main())
