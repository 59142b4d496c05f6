"""Hides from commands that tests start what users have not: DuckDB imports pandas where it is."""

import sys

for name in ("numpy", "pandas"):
    sys.modules[name] = None  # type: ignore[assignment] # an import of it fails
