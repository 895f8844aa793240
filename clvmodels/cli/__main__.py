"""``python -m clvmodels.cli`` is the command ``clvmodels``."""

from clvmodels.cli import command

command()
