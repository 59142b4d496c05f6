"""The colours of the report and of the notebook: one set for light and dark.

They are variables of a style sheet (--c-ink and so on), so that one chart serves both, and paper.
"""

from __future__ import annotations

from pipelines.files import list_statuses

# From the ground of a stack to its top: closed threads below those that move.
CLOSED = list_statuses(closed=True)[::-1]
STATUSES = (*CLOSED, "other", *list_statuses(closed=False)[::-1])
# Name -> its colour in light, and in dark. The colour-blind can distinguish the series too.
COLORS = {
    "paper": ("#f6f7f9", "#11161c"),
    "card": ("#ffffff", "#1a2129"),
    "ink": ("#17202a", "#e7ecf1"),
    "muted": ("#55616e", "#a4b0bc"),
    "line": ("#dfe4ea", "#2c3641"),
    "soft": ("#b9c7d6", "#4a5a6b"),
    "accent": ("#0b5cad", "#7fbcf5"),
    "alarm": ("#b3261e", "#ff9d94"),
    "alarm-soft": ("#fdecea", "#43201f"),
    "warn": ("#8a5a00", "#f3c46b"),
    "warn-soft": ("#fff3dc", "#3a2e16"),
    "good": ("#1b6b45", "#7fd3a8"),
    "good-soft": ("#e5f4ec", "#173426"),
    "plain-soft": ("#eceff3", "#28313b"),
    "status-running": ("#0072b2", "#56b4e9"),
    "status-idle": ("#009e73", "#2fc596"),
    "status-blocked": ("#c77700", "#f0b429"),
    "status-rescheduling": ("#aa4f8f", "#e39bcb"),
    "status-terminated": ("#c8440a", "#ff8a5c"),
    "status-archived": ("#8794a1", "#7d8a97"),
    "status-cancelled": ("#a05a6c", "#cf8fa0"),
    "status-other": ("#5f5391", "#b3a5e6"),
    "series-1": ("#0072b2", "#56b4e9"),
    "series-2": ("#c8440a", "#ff8a5c"),
    "series-3": ("#009e73", "#2fc596"),
    "series-4": ("#aa4f8f", "#e39bcb"),
    "series-5": ("#8a6d00", "#e5cf5b"),
}
SERIES = 5


def classify(status: str) -> str:
    """Return the status whose colour is used: undocumented ones share one."""
    return status if status in STATUSES else "other"


def list_variables(*, dark: bool) -> str:
    """Return the declarations of a style sheet."""
    return " ".join(f"--c-{name}: {pair[dark]};" for name, pair in COLORS.items())
