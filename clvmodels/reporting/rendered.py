"""From a posterior to a report that shows itself, and is written whole or not at all."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clvmodels.diagnostics.record import Report
from clvmodels.errors import SchemaError, named_where_full
from clvmodels.keywords import named
from clvmodels.outputs import folder_beside, followed, make_room, refuse_inputs
from clvmodels.path_checks import named_paths, path_of
from clvmodels.progress import part, telling
from clvmodels.reporting.json import to_json
from clvmodels.reporting.page import READERS, Reader, render_page
from clvmodels.reporting.text import render_text
from clvmodels.schema import Discounting, Horizon, TimeUnit, check_choice

if TYPE_CHECKING:
    from clvmodels.evaluation import Backtest
    from clvmodels.frames import Frame
    from clvmodels.posterior.scorable import Scorable
    from clvmodels.predictive.calendars import CalendarChoice
    from clvmodels.rfm import RfmTable

_PAGE: Final = (0.65, 1.0)  # of the time that a report takes
FRAME: Final = (
    '<iframe srcdoc="{page}" title="{title}" sandbox="allow-scripts" '
    'width="100%" height="800" style="border: 1px solid #b9c1c9"></iframe>'
)


@dataclass(frozen=True, slots=True, repr=False)
class RenderedReport:
    """A report as a page; notebooks display it, and ``print`` writes it as text.

    Attributes
    ----------
    record : Report
        Every number that is shown.
    html : str
        One self-contained page.
    """

    record: Report
    html: str

    @property
    def json(self) -> str:
        """The record as strict JSON."""
        return to_json(self.record)

    @property
    def full(self) -> str:
        """The whole record as text, 100 columns wide; ``print`` shows what is to be minded."""
        return render_text(self.record)

    @named
    def save(
        self, path: str | os.PathLike[str], *, json: str | os.PathLike[str] | None = None
    ) -> Path:
        """Write the page, and the record as JSON: both whole, or neither.

        Parameters
        ----------
        path : path-like
            The HTML file, ``.html`` or ``.htm``.
        json : path-like, optional
            The JSON file, ``.json``.

        Returns
        -------
        Path
            Of the page.

        Raises
        ------
        SchemaError
            A name has another suffix, or is a folder's.
        OSError
            The folder cannot be written to.
        """
        check_outputs(path, json)
        write_report(self, path, json)
        return Path(path)

    def _repr_html_(self) -> str:
        return FRAME.format(page=html.escape(self.html), title=html.escape(self.record.title))

    def __str__(self) -> str:
        return render_text(self.record, whole=False)

    def __repr__(self) -> str:
        verdict = self.record.verdict
        return f"<RenderedReport {self.record.title!r}: {verdict.status}, {verdict.headline!r}>"


@named
def render(record: Report, *, reader: Reader = "both") -> RenderedReport:
    """Render a record, such as one that was read from JSON.

    Parameters
    ----------
    record : Report
        With every number.
    reader : {"both", "manager", "analyst"}
        As in `render_page`.
    """
    return RenderedReport(record, render_page(record, reader=reader))


@named
def report(
    posterior: Scorable,
    rfm: RfmTable | Frame,
    *,
    log: Any = None,
    backtest: Backtest | str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    json: str | os.PathLike[str] | None = None,
    horizon: Horizon = "365D",
    discount_rate: float = 0.10,
    discounting: Discounting = "continuous",
    interval: float = 0.9,
    draws: int = 500,
    calendar: CalendarChoice = "auto",
    margin: float | None = None,
    cac: float | None = None,
    currency: str = "",
    reader: Reader = "both",
    random_seed: int = 0,
    id_map: Any = None,
    date: str | None = None,
    title: str | None = None,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
) -> RenderedReport:
    """Check a fit, and render what was found as one page.

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Of any method.
    rfm : RfmTable or frame
        The customers that it was fitted to.
    log : optional
        The log of the table, for what a table does not contain.
    backtest : optional
        A backtest of the same model, or the folder that it was saved in.
    output, json : path-like, optional
        Files to write the page and the record to: both whole, or neither.
    horizon, discount_rate, discounting, interval, draws
        As in :meth:`CLVPosterior.predict`.
    calendar : {"auto", "none", "learnt"} or float
        Doubt about what moves all customers at once, in the totals to plan with, as in
        :func:`~clvmodels.forecast_total`.
    margin : float, optional
        Share of revenue that is profit; by default the table's, else the posterior's.
    cac : float, optional
        What winning a new customer costs, for the first page to judge.
    currency : str
        Only for display, such as "$" or "EUR".
    reader : {"both", "manager", "analyst"}
        Whom the page is for: the manager's page, the model's part, or both, the latter folded.
    random_seed, id_map, date, title, time_unit, time_scaler
        As in `clvmodels.diagnostics.diagnose`.

    Returns
    -------
    RenderedReport
        Displays itself in notebooks.

    Raises
    ------
    ClvError
        Table and posterior do not match, or an option is wrong. A fit that failed
        is not an error: the report says so.
    """
    from clvmodels.diagnostics import diagnose
    from clvmodels.evaluation.backtest_record import HEADER, load_backtest

    check_choice("reader", reader, READERS)
    read = [*named_paths(log), *(folder / HEADER for folder in named_paths(backtest))]
    check_outputs(output, json, read)
    if isinstance(backtest, str | os.PathLike):
        backtest = load_backtest(Path(backtest))
    record = diagnose(
        posterior,
        rfm,
        log=log,
        backtest=backtest,
        horizon=horizon,
        discount_rate=discount_rate,
        discounting=discounting,
        interval=interval,
        draws=draws,
        calendar=calendar,
        margin=margin,
        cac=cac,
        currency=currency,
        random_seed=random_seed,
        id_map=id_map,
        date=date,
        title=title,
        time_unit=time_unit,
        time_scaler=time_scaler,
    )
    telling()(_PAGE[0], "the page")
    with part(*_PAGE):
        rendered = render(record, reader=reader)
    write_report(rendered, output, json)
    return rendered


def write_report(
    rendered: RenderedReport,
    output: str | os.PathLike[str] | None,
    json: str | os.PathLike[str] | None,
) -> None:
    """Write the page, the record, both or neither."""
    pages = {} if output is None else {Path(output): rendered.html}
    records = {} if json is None else {Path(json): rendered.json}
    write_together(pages | records)


def check_outputs(
    output: str | os.PathLike[str] | None,
    json: str | os.PathLike[str] | None,
    inputs: Iterable[Path] = (),
) -> None:
    """Refuse outputs that cannot be written, or are read, before any work is done."""
    wanted = ((output, (".html", ".htm")), (json, (".json",)))
    paths = [(path_of("The output", path), ends) for path, ends in wanted if path is not None]
    for path, suffixes in paths:
        if not path.name.lower().endswith(suffixes):
            raise SchemaError(f"The output {path} must end in {' or '.join(suffixes)}.")
        if path.is_dir():
            raise SchemaError(f"The output {path} is a folder: name a file.")
    refuse_inputs((path for path, _ in paths), inputs)
    for path, _ in paths:
        make_room(path)


def write_together(contents: Mapping[Path, str]) -> None:
    """Write files under other names, and give them their own once all are whole."""
    with ExitStack() as folders:
        places = {path: followed(path) for path in contents}
        beside = {path: folders.enter_context(folder_beside(places[path])) for path in contents}
        written = {path: folder / path.name for path, folder in beside.items()}
        for path, text in contents.items():
            with named_where_full(path):
                written[path].write_text(text, encoding="utf-8", newline="\n")
        for path in contents:
            os.replace(written[path], places[path])
