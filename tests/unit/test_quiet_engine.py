"""The embedded engine draws nothing of its own, however long a query takes."""

from __future__ import annotations

import pytest

from clvmodels.log import engine, set_up
from clvmodels.log.embedded import Resources, connected

SETTING = "SELECT current_setting('enable_progress_bar'), current_setting('TimeZone')"


def test_no_bar_and_utc() -> None:
    with engine() as backend:
        assert backend.con.execute(SETTING).fetchall() == [(False, "UTC")]
    with connected(Resources()) as connection:
        assert connection.execute(SETTING).fetchall() == [(False, "UTC")]


class InNotebook:
    """A connection where no bar can be drawn, nor told not to be."""

    def __init__(self, shown: bool) -> None:
        self.shown, self.said = shown, list[str]()

    def execute(self, text: str) -> InNotebook:
        self.said.append(text)
        return self

    def fetchall(self) -> list[tuple[bool]]:
        return [(self.shown,)]


@pytest.mark.parametrize("shown", [True, False])
def test_only_a_bar_that_is_on_is_turned_off(shown: bool) -> None:
    connection = InNotebook(shown)
    set_up(connection)
    assert ("SET enable_progress_bar = false" in connection.said) == shown
