"""Where this checkout is. Importing it lets a launcher find the library, which need not be installed.

Each launcher imports it first; its own folder Python has put on the path already.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

sys.path.insert(0, str(ROOT))
