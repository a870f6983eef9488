"""``python -m calcreport``."""

import sys

from calcreport.cli import main

if __name__ == "__main__":
    sys.exit(main())
