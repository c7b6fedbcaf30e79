"""A child at the end of a network run that follows a script of the test: `python -m tests.support.fake_end`.

The environment variable FAKE_END holds the script as JSON: a list with a step for each message that the child receives.
A step is a list of messages to send, or one of the words below.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

from loadgen.host import frames


def _say(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _act(action: list[dict[str, Any]] | str) -> None:
    match action:
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            sys.stderr.write("first words\nit is too dark here\n")
            sys.exit(7)
        case "babble":
            _say(b"\0\0\0\3abc")
        case "mumble":
            _say(frames.encode({"was": "nothing"}))
        case "close":
            os.close(1)
            time.sleep(60)
        case "sleep":
            time.sleep(60)
        case list():
            for message in action:
                _say(frames.encode(message))


def main() -> None:
    for action in json.loads(os.environ["FAKE_END"]):
        _act(action)
        size = int.from_bytes(sys.stdin.buffer.read(4), "big")
        if not size:
            return
        sys.stdin.buffer.read(size)


if __name__ == "__main__":
    main()
