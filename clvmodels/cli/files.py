"""Files of the command line: read tables, write whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clvmodels.errors import ClvError, SchemaError, one_line
from clvmodels.outputs import aside, followed, make_room, refuse_inputs
from clvmodels.path_checks import named_paths, path_of
from clvmodels.schema import CUSTOMER_ID, FREQUENCY, RECENCY, T

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from clvmodels.cli.terminal import Terminal
    from clvmodels.posterior.scorable import Scorable
    from clvmodels.rfm import RfmTable
    from clvmodels.schema import TimeScale

PARQUET: Final = (".parquet", ".pq")
CSV: Final = (".csv", ".csv.gz")
_SUFFIXES: Final = {
    "output": (*CSV, PARQUET[0]),
    "json": (".json",),
    "plot": (".png", ".svg"),
}


def kind_of(path: Path) -> str:
    """Tell "parquet" or "csv" by the name.

    Raises
    ------
    SchemaError
        It is neither.
    """
    name = path.name.lower()
    if name.endswith(PARQUET):
        return "parquet"
    if name.endswith(CSV):
        return "csv"
    raise SchemaError(f"{path} must end in {', '.join(PARQUET + CSV)}: the name says the format.")


def check_input(path: Path) -> Path:
    """Refuse a file that is not there, or not on this machine.

    Raises
    ------
    SchemaError
        There is no such file.
    """
    if not path_of("The input", path).is_file():
        raise SchemaError(f"There is no file {path}: check the name and the folder.")
    return path


def check_folder(path: Path) -> Path:
    """Refuse an output folder that is a file, or not on this machine.

    Raises
    ------
    SchemaError
        It is such a one.
    """
    if followed(path_of("The output", path)).exists() and not path.is_dir():
        raise SchemaError(f"The output {path} is a file: name a folder.")
    return path


def check_output(
    path: Path, *, suffixes: tuple[str, ...] = (), inputs: Iterable[str | Path] = ()
) -> Path:
    """Refuse an output that cannot be written, before any work is done.

    Parameters
    ----------
    path : Path
        What is to be written or replaced.
    suffixes : tuple of str
        What its name may end in; empty for anything.
    inputs : iterable of str or Path
        Files, folders and patterns that the command reads.

    Raises
    ------
    SchemaError
        The suffix is another, the path is a folder or a URL, or it is among the inputs.
    OSError
        Its folder cannot be made or written to.
    """
    path = path_of("The output", path)
    if suffixes and not path.name.lower().endswith(suffixes):
        raise SchemaError(f"The output {path} must end in {' or '.join(suffixes)}.")
    if path.is_dir():
        raise SchemaError(f"The output {path} is a folder: name a file.")
    refuse_inputs([path], named_paths(list(inputs)))
    make_room(path)
    return path


def write_aside(path: Path, write: Callable[[Path], object]) -> Path:
    """Write a file under another name and give it its own once it is whole.

    Parameters
    ----------
    path : Path
        What is to be written or replaced.
    write : callable
        Gets the path to write to, which has the same name.
    """
    with aside(path) as written:
        write(written)
    return path


def write_frame(frame: pd.DataFrame, path: Path) -> Path:
    """Write a frame as Parquet or CSV, as the name says."""
    if kind_of(path) == "csv":
        return write_aside(path, lambda aside: frame.to_csv(aside, index=False))
    return write_aside(path, lambda aside: frame.to_parquet(aside, index=False))


def write_people(table: pd.DataFrame, path: Path) -> Path:
    """Write a table that people open: in CSV no name of the log's is a formula."""
    from clvmodels.predictive.customer_files import write_list

    return write_aside(path, lambda aside: write_list([table], aside, {}))


def write_json(record: object, path: Path) -> Path:
    """Write values as JSON; what is not plain, such as a date, as text."""
    text = json.dumps(record, indent=1, allow_nan=False, default=str)
    return write_aside(path, lambda aside: aside.write_text(text + "\n", encoding="utf-8"))


def read_by(
    names: Sequence[str], segments: Path | None, csv: Mapping[str, str | None]
) -> list[str] | pd.Series | None:
    """What customers are divided by: columns of their table, or a file with everybody's segment.

    Raises
    ------
    SchemaError
        Both are given, or the file has other columns than customer_id and one more.
    """
    if segments is None:
        return list(names) or None
    if names:
        raise SchemaError("Give --by or --segments, not both: customers are divided once.")
    found = read_table(segments, csv, wanted=(CUSTOMER_ID,))[0].to_pandas()
    more = [name for name in found if name != CUSTOMER_ID]
    if CUSTOMER_ID not in found or len(more) != 1:
        there = ", ".join(map(str, found))
        raise SchemaError(
            f"{segments} must have two columns, customer_id and one with everybody's segment; it "
            f"has {there}."
        )
    column: pd.Series = found.set_index(CUSTOMER_ID)[more[0]]
    return column


def read_rfm(
    path: Path,
    scale: TimeScale,
    *,
    csv: Mapping[str, str | None],
    said: bool = False,
    whole: bool = True,
    margin: float | None = None,
    margin_else: str = "that of the base that was fitted, if it had one",
) -> tuple[RfmTable, str | None]:
    """Read a table of customers.

    Parameters
    ----------
    path : Path
        A file of RfmTable.to_parquet, which knows its units, or Parquet or CSV with
        customer_id, frequency, recency, T and, for spend, monetary_value.
    scale : TimeScale
        The unit of time of a file that does not say it.
    csv : mapping
        Decimal sign, delimiter and encoding of CSV, as far as they were said.
    said : bool
        Whether the caller said that unit.
    whole : bool
        Whether T must be whole in periods, else there is a warning, unless it was said.
    margin : float, optional
        Share of revenue that is profit, above what the file says.
    margin_else : str
        Which margin values have where neither says one.

    Returns
    -------
    RfmTable
        The customers.
    str or None
        What was assumed of a file that does not say it.

    Raises
    ------
    SchemaError
        There is no such file, or it does not hold customers.
    DomainError
        The margin is not a share of revenue.
    """
    from clvmodels.margin import said_margin
    from clvmodels.rfm import RfmTable
    from clvmodels.rfm.customers import warn_of_unit

    check_input(path)
    stated = {} if margin is None else said_margin(margin)
    if kind_of(path) == "parquet" and is_own_table(path):
        return replace(RfmTable.from_parquet(path), **stated), None
    wanted = (CUSTOMER_ID, FREQUENCY, RECENCY, T)
    frame, note = read_table(path, csv, wanted=wanted)
    more = "" if note is None else f" {note}"
    table = RfmTable.from_frame(
        frame, time_unit=scale.time_unit, time_scaler=scale.time_scaler, margin=margin
    )
    if whole and not said:
        warn_of_unit(table.table["T"].to_numpy(), scale, said=False, whole=True)
    if margin is not None:
        return table, f"{path} does not say its unit of time: taken as {scale}.{more}"
    return table, (
        f"{path} does not say its unit of time and margin: taken as {scale} and {margin_else}."
        + more
    )


def is_own_table(path: Path) -> bool:
    """Whether a Parquet file was written by RfmTable.to_parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid) as error:
        raise SchemaError(f"{path} cannot be read as Parquet: {one_line(error)}") from error
    return b"clvmodels.rfm" in metadata


def read_table(
    path: Path,
    csv: Mapping[str, str | None],
    *,
    wanted: tuple[str, ...] = (),
    only_numbers: bool = False,
) -> tuple[pa.Table, str | None]:
    """Read columns from Parquet or CSV, as the name says.

    Parameters
    ----------
    path : Path
    csv : mapping
        Decimal sign, delimiter and encoding of CSV.
    wanted : tuple of str
        Columns that tell the right delimiter.
    only_numbers : bool
        Whether all columns but customer_id are numbers.

    Returns
    -------
    pyarrow.Table
        What the file holds.
    str or None
        What was found of how it is written.

    Raises
    ------
    SchemaError
        There is no such file, or it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from clvmodels.scoring.csv_customers import CsvOptions, numbers_of, read_csv

    check_input(path)
    try:
        if kind_of(path) == "parquet":
            return pq.read_table(path), None
        numbers = None if only_numbers else numbers_of(amounts=True)
        return read_csv(path, CsvOptions(**csv), wanted, numbers)
    except ClvError:
        raise
    except (ValueError, OSError, pa.ArrowException) as error:
        raise SchemaError(f"{path} cannot be read: {one_line(error)}") from error


def read_posterior(path: Path, basket_value: float | None) -> Any:
    """Return the posterior of a file with the value of a purchase; the file if none is given.

    Raises
    ------
    SchemaError
        A value is given of a posterior that knows what purchases bring.
    """
    if basket_value is None:
        return path
    from clvmodels.posterior import CLVPosterior, load_posterior
    from clvmodels.posterior.scorable import scorable

    found = scorable(load_posterior(path))
    if isinstance(found, CLVPosterior):
        raise SchemaError(
            f"{path} already has a model of spend or a basket value: leave --basket-value out, or "
            "fit purchases alone, to a table without amounts."
        )
    return CLVPosterior(found, basket_value)


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """What a command about customers works on.

    Attributes
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
    base : RfmTable
    assumed : str or None
        What was assumed of a file that does not say it.
    """

    posterior: Scorable
    base: RfmTable
    assumed: str | None


def opened(
    fitted: Mapping[str, Path], basket_value: float | None, csv: Mapping[str, str | None]
) -> Opened:
    """Read a posterior, and the customers by its unit of time.

    Raises
    ------
    SchemaError, PosteriorFileError
        There is no such file, or it holds something else.
    """
    from clvmodels.posterior.scorable import open_scorable, purchases_of

    posterior, _ = open_scorable(read_posterior(fitted["posterior"], basket_value))
    metadata = purchases_of(posterior).metadata
    base, assumed = read_rfm(fitted["rfm"], metadata.scale, csv=csv, whole=metadata.whole)
    return Opened(posterior, base, assumed)


def check_results(results: Mapping[str, Path | None], inputs: Iterable[str | Path | None]) -> None:
    """Refuse results that cannot be written, and inputs that are not there, before any work.

    Parameters
    ----------
    results : mapping of str to Path or None
        Files by what they hold: output (a table), json, plot.
    inputs : iterable of Path, str or None
        Files that are read; text names a log, which may be a pattern.
    """
    given = [one for one in inputs if one is not None]
    for one in given:
        if isinstance(one, Path):
            check_input(one)
    for what, path in results.items():
        if path is not None:
            check_output(path, suffixes=_SUFFIXES[what], inputs=given)


def finish(
    terminal: Terminal,
    given: Opened,
    show: Callable[[], object],
    results: Mapping[str, Path | None],
) -> None:
    """Say what was assumed and what was found, by `show`, and what was written."""
    if terminal.quiet:
        return
    if given.assumed:
        terminal.say(given.assumed)
    show()
    terminal.wrote_all(results)


def write_results(
    results: Mapping[str, Path | None],
    table: pd.DataFrame,
    record: object,
    draw: Callable[[Path], object] | None = None,
) -> None:
    """Write what was asked for: the table, the same as JSON, and a picture."""
    wanted = {what: path for what, path in results.items() if path is not None}
    if "output" in wanted:
        write_people(table, wanted["output"])
    if "json" in wanted:
        write_json(record, wanted["json"])
    if "plot" in wanted and draw is not None:
        write_aside(wanted["plot"], draw)
