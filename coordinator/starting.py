"""Ctrl-C while a command starts.

Until :func:`end_at_once` is called, Ctrl-C is a traceback.  So this module imports only what Python itself has imported
when it starts.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the module `signal` makes enums first, which takes time
import _thread
import os
import sys

_LINE = b"loadgen: interrupted\n"
_DOCUMENT = b'{\n  "kind": "error",\n  "error": "interrupted",\n  "hint": "",\n  "exit_code": 130\n}\n'
_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_PATIENCE_S = 1.0


def end_at_once() -> None:
    """Let Ctrl-C end this process at once, in one line: there is nothing to clean up.

    An exception is no alternative: Python would print it when it comes inside a callback of the import system, and go
    on.  A signal that is ignored stays ignored, because nohup and shells rely on this.
    """
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _end)


def end_in_order() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again: from now on there may be something to clean up."""
    if _signal.getsignal(_signal.SIGINT) is _end:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)


def _end(number: int, frame: object) -> None:
    """End now.  A thread says so, because a stream that nobody reads would hold up the end."""
    said = _thread.allocate_lock()
    said.acquire()
    try:
        _thread.start_new_thread(_say, (said,))
        said.acquire(True, _PATIENCE_S)
    finally:
        os._exit(_INTERRUPTED)


def _say(said: _thread.LockType) -> None:
    _write(2, _LINE)
    if wants_json(sys.argv[1:]):
        _write(1, _DOCUMENT)
    said.release()


def _write(descriptor: int, data: bytes) -> None:
    try:
        os.write(descriptor, data)
    except OSError:  # closed; contextlib.suppress would be one more import
        return


def wants_json(arguments: list[str]) -> bool:
    """Whether a command line asks for a JSON document, as far as that can be said without parsing it."""
    words = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--json" in words or "--format=json" in words:
        return True
    if "--format" in words and words[words.index("--format") + 1 :][:1] == ["json"]:
        return True
    short = (word for word in words[1:] if word[:1] == "-" and word[1:2] != "-")
    return words[:1] == ["iperf"] and any("J" in word for word in short)
