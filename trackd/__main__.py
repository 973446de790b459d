"""``python3 -m trackd``: the same as the command ``trackd``."""

import sys

from trackd.cli import main

if __name__ == "__main__":
    sys.exit(main())
