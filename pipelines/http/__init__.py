"""One request: authorized, rate-limited, bounded in time and size, and tried again."""

import sys

# httpx imports the program of its name too, if rich and pygments are there: 0.05 s of each poll.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # so Python lets it fail
