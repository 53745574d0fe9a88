"""`python -m midtread`: the same as the command `midtread`."""

import sys

from midtread.cli import main

if __name__ == "__main__":  # worker processes import this module and must not run the command again
    sys.exit(main())
