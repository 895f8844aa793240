"""The folder of a run that is not finished: its lock, what it is of, and how far it came."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from clvmodels.errors import OURS, ResumeError, SchemaError
from clvmodels.scoring import disk
from clvmodels.scoring.input_files import unchanged
from clvmodels.scoring.staging import is_staged

_RUN: Final = "run.json"
_LOCK: Final = "lock"
_READY: Final = "ready.json"
_EARLIER_MANIFEST: Final = "earlier.manifest.json"
_EARLIER_REJECTS: Final = "earlier.rejects.parquet"
# In the order in which they are removed: what says what the folder is goes last.
_OURS: Final = (
    "spill",
    "old",
    "parts",
    "rejects",
    "records",
    "staged",
    "prepass",
    _EARLIER_MANIFEST,
    _EARLIER_REJECTS,
    _READY,
    _RUN,
)
_ATTEMPTS: Final = 5


class Workspace:
    """Paths of a run's folder, and what is done of it.

    Parameters
    ----------
    folder : Path
        ``NAME.partial``, beside the output.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts = folder / "parts"
        self.rejects = folder / "rejects"
        self.records = folder / "records"
        self.staged = folder / "staged"
        self.prepass = folder / "prepass"
        self.spill = folder / "spill"
        self.old = folder / "old"
        self.manifest = folder / "manifest.json"
        self.all_rejects = folder / "rejects.parquet"
        self.earlier_manifest = folder / _EARLIER_MANIFEST
        self.earlier_rejects = folder / _EARLIER_REJECTS
        self.run = folder / _RUN
        self.ready = folder / _READY

    def output(self, name: str) -> Path:
        """Path of the finished output before it is put in its place."""
        return self.folder / f"output-{name}"

    def prepare(self) -> None:
        """Make the folders; what a killed run has spilled goes."""
        disk.remove(self.spill)
        for path in (self.parts, self.rejects, self.records, self.staged, self.prepass, self.spill):
            disk.make_folder(path)

    def has_progress(self) -> bool:
        """Whether there is anything that a later run need not do again."""
        records = self.records.is_dir() and any(self.records.glob("*.json"))
        return records or self.ready.exists() or is_staged(self.staged)

    def clear(self) -> None:
        """Remove all that a run writes there but the lock, and nothing else."""
        for path in [*self.folder.glob("*" + disk.ASIDE), *self.folder.glob("output-*")]:
            disk.remove(path)
        for name in ("manifest.json", "rejects.parquet", *_OURS):
            disk.remove(self.folder / name)

    def remove(self) -> None:
        """Remove the folder with all that a run writes there, and nothing else."""
        if not self.folder.is_dir():
            return
        self.clear()
        disk.remove(self.folder / _LOCK)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()


@contextmanager
def occupied(
    folder: Path,
    identity: Mapping[str, Any],
    *,
    restart: bool,
    clear: Callable[[Workspace], object],
) -> Iterator[Workspace]:
    """Take the folder of a run: make it, or go on with one that stopped.

    A run that cannot be finished any more, since its input has changed or another version of
    the package began it, is cleared away with a warning: tomorrow's job must not be stuck.

    Parameters
    ----------
    folder : Path
        ``NAME.partial``.
    identity : mapping
        All that the result depends on.
    restart : bool
        Whether a run that stopped is cleared away, whatever it was of.
    clear : callable
        Clears a run away, and leaves the folder with its lock.

    Raises
    ------
    ResumeError
        The folder is of another run that can be finished, or a run is going on there.
    SchemaError
        The folder is there, and not ours.
    """
    work = Workspace(folder)
    with _locked(folder):
        try:
            identity = disk.plain(identity)
            if work.run.exists() and not _goes_on(work, identity, restart=restart):
                clear(work)
            if not work.run.exists():
                disk.write_json(work.run, identity)
            if not work.ready.exists():  # else a missing folder says that it is in its place
                work.prepare()
            yield work
        except ResumeError:
            raise
        except BaseException:
            if not work.has_progress():
                work.remove()
            raise


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    refuse_foreign(folder)
    busy = ResumeError(
        f"Another run is writing to {folder}: wait for it, or give the output another name."
    )
    for _ in range(_ATTEMPTS):
        disk.make_folder(folder)
        lock = FileLock(folder / _LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise busy from None
        if (folder / _LOCK).exists():
            break
        lock.release()  # of a run that ended just now, and took its folder away
    else:
        raise busy
    try:
        yield
    finally:
        lock.release()


def refuse_foreign(folder: Path) -> None:
    """Raise SchemaError for a folder, or file, of this name that no run has made."""
    if folder.exists() and not folder.is_dir():
        raise SchemaError(f"{folder} is a file, where a run keeps its parts: rename it.")
    if not folder.is_dir() or (folder / _RUN).exists() or (folder / _LOCK).exists():
        return
    if any(folder.iterdir()):
        raise SchemaError(
            f"The folder {folder}, where a run keeps its parts, is there with files that "
            "clvmodels did not write: rename it, or give the output another name."
        )


def _goes_on(work: Workspace, here: Mapping[str, Any], *, restart: bool) -> bool:
    """Whether the run that stopped is this one; False where it may be cleared away."""
    there = disk.read_json(work.run)
    old, new = _flat(there), _flat(here)
    differing = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    # What only has to be put in its place is, and so must be of the same place
    placed = not work.ready.exists() or there.get("output") == here.get("output")
    if not differing or (restart and placed):
        return not restart
    listed = "; ".join(
        f"{name} was {_short(old.get(name))}, is {_short(new.get(name))}" for name in differing[:5]
    )
    more = f"; and {len(differing) - 5} more" if len(differing) > 5 else ""
    if placed and (why := _can_not_be_finished(there, here)):
        warnings.warn(
            f"A half-finished run in {work.folder} was removed, and this one starts again: {why} "
            f"({listed}{more}).",
            UserWarning,
            stacklevel=2,
            skip_file_prefixes=OURS,
        )
        return False
    raise ResumeError(
        f"{work.folder} holds a half-finished run that differs: {listed}{more}. Repeat that run's "
        "command to finish it, or pass restart=True to remove it and start again."
    )


def _can_not_be_finished(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Why nobody can repeat a run; "" where somebody can."""
    for name in ("format_version", "clvmodels"):
        if there.get(name) not in (None, here.get(name)):
            return "another version of clvmodels began it"
    for file in there.get("input", {}).get("files", ()):
        if not unchanged(Path(file["path"]), file["bytes"], file["mtime_ns"]):
            return f"its input {file['path']} has changed since"
    return ""


def _flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in record.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            found |= _flat(value, f"{key}.")
        elif isinstance(value, list):
            found |= _flat({str(i): item for i, item in enumerate(value)}, f"{key}.")
        else:
            found[key] = value
    return found


def _short(value: Any) -> str:
    text = "not there" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
