"""Run the command line with `python -m esrt_cli`."""

import sys

from esrt_cli.app import main

if __name__ == "__main__":
    sys.exit(main())
