"""`python -m xworld` is the command `xworld`."""

import sys

from xworld.cli import main

sys.exit(main())
