"""``python -m multimodal_search``."""

import sys

from multimodal_search.cli import main

if __name__ == "__main__":
    sys.exit(main())
