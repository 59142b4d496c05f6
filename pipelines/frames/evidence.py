"""How pages are read: what is read otherwise now must be listed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.frames.threads import describe_reading

if TYPE_CHECKING:
    from collections.abc import Iterable


def name_readings(providers: Iterable[str], *, keep_agent_definition: bool) -> dict[str, str]:
    """Return provider -> how its pages become rows, as a text: pages read alike have one."""
    suffix = "+agents" if keep_agent_definition else ""
    return {name: f"{describe_reading(name)}{suffix}" for name in providers}
