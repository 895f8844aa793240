"""What notebooks show of results."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from clvmodels import BetaGeoPosterior, plots
from clvmodels.diagnostics import Fact, Figure, Headline, Report
from clvmodels.plots import draw_figure
from clvmodels.reporting import render_text


def test_a_report_is_text_in_a_notebook_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There rich shows lines instead of writing them, unless it is told not to."""
    facts = (Fact("customers", "Customers", 2_357, format="integer"),)
    record = Report("CDNOW", Headline("pass", "They can be used."), (), facts, (), {})
    plain = render_text(record)
    assert "2,357" in plain
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert render_text(record) == plain
    assert capsys.readouterr().out == ""


def test_figures_of_reports_show_themselves() -> None:
    curve = ([0.0, 0.5, 1.0], [0.0, 0.2, 1.0])
    drawn = draw_figure(Figure("key", "lorenz", "", "", "", {"curves": {"value": curve}}))
    for figure in (drawn, plots.new_figure(1, 2, "")[0]):
        picture = Image.open(io.BytesIO(figure._repr_png_()))
        width, height = figure.get_size_inches()
        assert picture.size == pytest.approx((72 * width, 72 * height), abs=1)


def test_tables_of_posteriors_have_four_digits() -> None:
    draws = [1_234.5678, 1_234.5679]
    page = BetaGeoPosterior.from_draws(r=[0.24361234, 0.2436], alpha=draws, a=1, b=2)._repr_html_()
    assert "1,235" in page
    assert "0.2436" in page
    assert "0.24361" not in page
