"""``python -m clvmodels.cli`` is the command ``clvmodels``."""

import sys

from clvmodels.cli.entry import main

sys.exit(main())
