"""Documented fields whose values no column can hold: kept where they came, in `extra`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pipelines.frames.values import Columns, merge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.providers.items import Fields


def keep_odd_values(
    extras: Sequence[Fields], came: Columns, instants: pl.DataFrame, session_ids: list[str]
) -> list[Fields]:
    """Return what no column can hold, and with it documented fields whose values none can.

    Timestamps that say no instant; another session than the one that was polled; and, as revision
    A gives the agent's id and version beside the agent too, what the agent itself says where the
    two differ.
    """
    kept = list(extras)
    beside = {
        "session_id": session_ids,
        "agent.id": came["agent_id"],
        "agent.version": came["agent_version"],
        "agent_name": came["agent.name"],
        "template_id": [
            there if beside is None else beside
            for beside, there in zip(came["agent_id"], came["agent.id"], strict=True)
        ],
        "stats.elapsed_seconds": came["duration_seconds"],
    }
    for path, others in beside.items():
        values = came[path.removeprefix("stats.")]
        # Nearly always all are equal, or none are there.
        if values == others or len(values) in {values.count(None), others.count(None)}:
            continue
        for row, (value, other) in enumerate(zip(values, others, strict=True)):
            if value != other and value is not None and other is not None:
                kept[row] = merge(kept[row], path.split("."), value)
    for name in instants.columns:
        is_text = pl.Series(came[name], dtype=pl.String()).is_not_null()
        for row in (is_text & instants[name].is_null()).arg_true():
            kept[row] = merge(kept[row], [name], came[name][row])
    return kept


def read_reasons(reasons: Sequence[Fields | str | None]) -> list[Fields | None]:
    """Return stop reasons as objects; one that is a plain text is its type."""
    return [
        ({"type": reason} if reason else None) if isinstance(reason, str) else reason
        for reason in reasons
    ]
