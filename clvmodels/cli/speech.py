"""What is said on standard error: lines for people, or one JSON record a line."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from clvmodels.display import wrapped

Level = Literal["info", "warning", "error"]
_PREFIXES: Final = {"info": "", "warning": "Warning: ", "error": "Error: "}


# What steers a terminal, writes from right to left, or cannot be written as UTF-8
_CONTROL: Final = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)


def harmless(text: str) -> str:
    """Write out control characters and the like, which may be in ids and in names of files."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


class Speech:
    """Say things on standard error.

    Attributes
    ----------
    as_json : bool
        Every line is a JSON record with time, level and event.
    """

    def __init__(self) -> None:
        self.begin(as_json=False)

    def begin(self, *, as_json: bool) -> None:
        """Begin a command."""
        self.as_json = as_json
        self._start = time.perf_counter()

    def say(self, level: Level, message: str, *, prefix: bool = True) -> None:
        """Say something to whoever started the command."""
        line = harmless(" ".join(message.split()))
        if self.as_json:
            self.log(level, level, {"message": line})
        else:
            line = f"{_PREFIXES[level] if prefix else ''}{line}"
            if sys.stderr.isatty():  # else a terminal breaks it within words
                width = shutil.get_terminal_size().columns
                line = "\n".join(wrapped(line, width, break_long_words=False))
            print(line, file=sys.stderr)

    def log(self, event: str, level: Level, fields: Mapping[str, Any]) -> None:
        """Write a record, where records are wanted."""
        if not self.as_json:
            return
        record = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": level,
            "event": event,
            **fields,
        }
        print(json.dumps(record, default=str), file=sys.stderr, flush=True)

    def end(self, code: int) -> None:
        """Log how the command ended."""
        seconds = round(time.perf_counter() - self._start, 3)
        level: Level = "info" if code == 0 else "error"
        self.log("end", level, {"exit_code": code, "seconds": seconds})


# Of the command that runs; `main` sets it.
speech = Speech()
