"""``python -m dbn`` is ``dbn``."""
import sys

from dbn.cli import main

if __name__ == "__main__":
    sys.exit(main())
