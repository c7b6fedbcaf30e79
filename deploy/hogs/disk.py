"""The disk hog: writes a file and syncs it, again and again.  It counts written bytes.

The file never becomes larger than the amount, and has no name, so that nothing of it remains.
"""

from __future__ import annotations

import os
import tempfile

from deploy.hogs.bounds import Bounds

_PIECE = os.urandom(1 << 20)


def main() -> None:
    """Write until the time is over."""
    bounds = Bounds()
    with tempfile.TemporaryFile(buffering=0) as file:
        while not bounds.over:
            file.seek(0)
            for _ in range(max(1, bounds.amount // len(_PIECE))):
                bounds.did(file.write(_PIECE))
                if bounds.over:
                    return
            os.fdatasync(file.fileno())


if __name__ == "__main__":
    main()
