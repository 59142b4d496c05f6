"""What a chart and a table call a group of threads: its name, and what tells it from others."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pipelines.reporting.formats import shorten
from pipelines.reporting.wording import shorten_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LONGEST_LABEL = 32
LONGEST_ROLE = 15


def label(text: str, longest: int = LONGEST_LABEL) -> str:
    """Return a text as a chart can show it, whoever wrote it: some texts break Vega."""
    short = shorten(text, longest)
    return f"{short}\N{NO-BREAK SPACE}" if short == "__proto__" else short


def label_agents(names: Mapping[str, str], longest: int) -> dict[str, str]:
    """Return id of an agent -> its name; agents that would read alike have a part of their id."""
    labels = {agent: label(name, longest) for agent, name in names.items()}
    counts = Counter(labels.values())
    alike = {agent for agent, text in labels.items() if counts[text] > 1}
    ids = shorten_ids(alike)
    return labels | {agent: f"{labels[agent]} ({label(ids[agent])})" for agent in alike}


def label_groups(rows: Sequence[Mapping[str, Any]], longest: int = LONGEST_LABEL) -> list[str]:
    """Return what each row's group of threads is called: a role, or a version of an agent."""
    agents = label_agents(dict(list_agents(rows)), longest)
    return [label_group(row, agents) for row in rows]


def list_agents(rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    """Give the agents of the rows; a version's name is the agent's with the version behind."""
    for row in rows:
        if row["agent"] is not None:
            yield row["agent"], row["name"].rpartition("@")[0]


def label_group(row: Mapping[str, Any], agents: Mapping[str, str]) -> str:
    """Return the label of a role, or of a version; of children unless it says otherwise."""
    role = label(str(row["role"]), LONGEST_ROLE)
    if row["dimension"] == "all":
        return role
    version = row["agent_version"]
    name = label(row["name"]) if row["agent"] is None else agents[row["agent"]]
    parts = [name, *([f"v{version}"] if version is not None else [])]
    return " · ".join([*parts, *([role] if role != "child" else [])])
