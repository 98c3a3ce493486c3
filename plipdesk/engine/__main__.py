"""``python -m plipdesk.engine``."""

from __future__ import annotations

import sys

from plipdesk.engine.main import main

if __name__ == "__main__":
    sys.exit(main())
