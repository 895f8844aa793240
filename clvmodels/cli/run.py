"""``clvmodels run``: log -> RfmTable -> posterior -> scores in one folder, each only if need be.

What a step was made of is kept beside its files: the options, and size and time of change of
what it read. A step is done again where these are others, or its file is not the one that it
wrote; so are all after it, since their input has then changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Any, Final

from clvmodels import __version__
from clvmodels.cli import fit, score, summarize
from clvmodels.cli.commands import STEPS
from clvmodels.cli.files import check_folder, write_aside
from clvmodels.cli.fit import COVARIATES
from clvmodels.cli.mistaken import refuse_mistaken
from clvmodels.cli.speech import speech
from clvmodels.cli.terminal import Terminal
from clvmodels.errors import ResumeError, SchemaError
from clvmodels.log.local_files import files_of
from clvmodels.outputs import make_room, refuse_inputs
from clvmodels.path_checks import named_paths
from clvmodels.rfm.attributes import segments_for
from clvmodels.schema import MARGIN, shown

RECORD: Final = "run.json"
_LOCK: Final = ".run.lock"
# What changes no number of a step
_WITHOUT_EFFECT: Final = ("memory_limit", "threads", "block_rows", "allow_rejects", "engine")
_NOT_JUDGED: Final = (
    "No report is written yet: it judges what these numbers may be used for. Read it before you "
    "use them."
)
Versions = dict[str, list[int]]


def run(
    *,
    log: str,
    output: Path,
    scores: str,
    fit_draws: int,
    restart: bool,
    quiet: bool,
    log_json: bool,
    **options: Any,
) -> int:
    """Summarise, fit and score, as far as that is not done.

    Parameters
    ----------
    log : str
        What `summarize` reads.
    output, scores : Path, str
        The folder, and the name of the scores within.
    **options
        Those of all steps.

    Returns
    -------
    int
        That of ``score``: 3 where rows could not be scored.
    """
    refuse_mistaken({"log": log})
    rfm, posterior, scored = (check_folder(output) / name for name in _names(scores))
    refuse_inputs([rfm, posterior, scored, output / RECORD], named_paths(log))
    said: dict[str, dict[str, Any]] = {
        step: {name: options[name] for name in names if name != "log"}
        for step, names in STEPS.items()
    }
    said["summarize"]["day_pairs"] |= said["fit"]["clock"] or said["fit"]["age_curve"]
    said["fit"]["draws"] = fit_draws
    if said["summarize"]["margin_col"] is not None:
        said["score"]["own_margins"] = said["score"]["own_margins"] or MARGIN
    asked = [one for name in COVARIATES for one in said["fit"][name]]
    columns = segments_for(fit.columns_of(asked))
    segments = dict.fromkeys((*said["summarize"]["segment_cols"], *columns))
    said["summarize"]["segment_cols"] = list(segments)
    not_said: dict[str, Any] = dict.fromkeys(("time_unit", "time_scaler", "margin", "update"))
    csv = dict.fromkeys(("decimal", "delimiter", "encoding"))

    def summarized(_: bool) -> None:
        summarize.run(log, rfm, quiet=quiet, alone=False, **said["summarize"])

    def fitted(_: bool) -> None:
        fit.run(rfm, posterior, quiet=quiet, alone=False, csv=csv, **not_said, **said["fit"])

    def all_scored(begun: bool) -> int:
        more: dict[str, Any] = {
            "quiet": quiet,
            "log_json": log_json,
            "basket_value": None,
            "restart": not begun,
            "alone": False,
        }
        return score.run(str(rfm), posterior, str(scored), **more, **said["score"])

    with _locked(output):
        record = _Record(output, Terminal(quiet=quiet), restart=restart)
        record.make("summarize", rfm, files_of(log), said["summarize"], summarized)
        record.make("fit", posterior, [rfm], said["fit"], fitted)
        code = record.make("score", scored, [rfm, posterior], said["score"], all_scored)
    files = f"--rfm {quote(str(rfm))} --posterior {quote(str(posterior))} --log {quote(log)}"
    terminal = Terminal(quiet=quiet)
    terminal.say(_NOT_JUDGED)
    terminal.follow(f"clvmodels report {files} -o report.html")
    return code


def _names(scores: str) -> tuple[str, str, str]:
    """Return the names of the three outputs in the folder."""
    names = ("rfm.parquet", "posterior.nc", scores)
    taken = (*names[:2], RECORD, "rfm", "posterior", "", "..")
    if Path(scores).name != scores or scores in taken:
        raise SchemaError(
            f"The scores cannot be called {shown(scores)}: give --scores a name of its own in the "
            "folder of --output, such as scores.parquet."
        )
    return names


class _Record:
    """What the files of a folder were made of; ``run.json`` in the folder.

    Parameters
    ----------
    folder : Path
    terminal : Terminal
    restart : bool
        Take no file of an earlier run for done.
    """

    def __init__(self, folder: Path, terminal: Terminal, *, restart: bool) -> None:
        self.path, self.terminal = folder / RECORD, terminal
        self.steps: dict[str, Any] = {} if restart else self._read()

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self.path.read_text(encoding="utf-8"))
            return dict(known["steps"])
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError):
            return {}  # damaged: what it said is not known, so all is done again

    def make(
        self,
        step: str,
        target: Path,
        inputs: Iterable[str | Path],
        options: Mapping[str, Any],
        do: Callable[[bool], int | None],
    ) -> int:
        """Do a step whose file is not there, or not made of this; return its exit code.

        Parameters
        ----------
        step, target : str, Path
            What is done, and what it writes.
        inputs : iterable of str or Path
            Files that it reads.
        options : mapping
            How.
        do : callable
            Does it; gets whether this was begun before, so that it may go on.
        """
        asked = {
            "version": __version__,
            "inputs": _versions(inputs),
            "options": {k: v for k, v in options.items() if k not in _WITHOUT_EFFECT},
        }
        asked = json.loads(json.dumps(asked))  # as it is read again
        known = self.steps.get(step, {})
        same = known.get("asked") == asked
        if same and known.get("made") and known["made"] == _versions([target]):
            speech.log("kept", "info", {"step": step, "file": str(target)})
            self.terminal.say(f"{target} is kept: what it was made of has not changed.")
            return _judged(known.get("exit_code", 0), options)
        speech.log("step", "info", {"step": step, "file": str(target)})
        self._write(step, {"asked": asked})
        code = do(same) or 0
        self._write(step, {"asked": asked, "made": _versions([target]), "exit_code": code})
        return code

    def _write(self, step: str, known: dict[str, Any]) -> None:
        self.steps[step] = known
        text = json.dumps({"clvmodels": __version__, "steps": self.steps}, indent=1)
        write_aside(self.path, lambda path: path.write_text(text, encoding="utf-8"))


def _judged(code: int, options: Mapping[str, Any]) -> int:
    """Return what a step that was done before ended with, as rows that are allowed to lack say."""
    return 0 if code == score.REJECTED and options["allow_rejects"] else code


def _versions(paths: Iterable[str | Path]) -> Versions:
    """Size and time of change of files, and of all files in folders; {} where one is not there."""
    files = [
        file
        for path in map(Path, paths)
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if not file.is_dir()
    ]
    try:
        found = {str(file.absolute()): file.stat() for file in files}
    except FileNotFoundError:
        return {}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in found.items()}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other runs out of the folder."""
    from filelock import FileLock, Timeout

    make_room(folder / RECORD)
    try:
        with FileLock(folder / _LOCK, timeout=0):
            yield
    except Timeout:
        raise ResumeError(
            f"Another run is writing to {folder}: wait for it, or name another folder."
        ) from None
