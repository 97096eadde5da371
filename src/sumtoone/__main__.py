"""``python -m sumtoone`` is the command ``sumtoone``."""

import sys

from sumtoone.cli import main

if __name__ == "__main__":
    sys.exit(main())
