"""Import this before memorax: it imports loggers to services whose packages are not installed (jax-no-deps.txt)."""

import sys
from unittest.mock import MagicMock

sys.modules["memorax.loggers"] = MagicMock()
