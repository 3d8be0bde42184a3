"""The command line: ``aotconv`` or ``python -m aotconv``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import __version__, show_config


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line with ``argv`` (default: that of the process); return the exit status."""
    parser = argparse.ArgumentParser(
        prog="aotconv", description="Compiled 2-D convolution for NumPy arrays."
    )
    parser.add_argument("--version", action="version", version=f"aotconv {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("info", help="print the version, the implementation and the threads")
    demo_parser = commands.add_parser(
        "demo",
        help="filter a photo, and time aotconv beside NumPy, numba and Keras",
        description="Filter a photo with a bank of filters and draw the feature maps. Then time "
        "aotconv beside the convolutions of the notebook 'Speeding up Convolution'.",
    )
    demo_parser.add_argument(
        "--image", metavar="FILE", help="the photo (default: the sample photo of matplotlib)"
    )
    demo_parser.add_argument(
        "--out", metavar="DIR", default="aotconv-demo", help="where to write (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    if args.command == "info":
        show_config()
        return 0

    from . import demo  # here, so that the other commands load none of it

    try:
        demo.run(args.image, args.out)
    except demo.DemoError as error:
        print(f"aotconv: error: {error}", file=sys.stderr)
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
