"""What a landed run says of sessions, as frames: the registry is made from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import polars as pl

from pipelines.frames.evidence import evidence_frame
from pipelines.frames.polls import correct_pages, polls_frame
from pipelines.frames.sessions import SESSIONS, sessions_frame
from pipelines.records import SESSION_ENDPOINT, SESSIONS_ENDPOINT

if TYPE_CHECKING:
    from pipelines.landing.format import Landed

DECISIONS = pl.Schema(
    {
        "source": pl.String(),
        "session_id": pl.String(),
        "state": pl.String(),
        "reason": pl.String(),
    }
)
PLANS = pl.Schema(
    {
        "source": pl.String(),
        "is_trusted": pl.Boolean(),
        "sessions_resting": pl.Int64(),
        "sessions_due": pl.Int64(),
    }
)
OF_SESSIONS = (SESSIONS_ENDPOINT, SESSION_ENDPOINT)
# Of a page; what was looked up and not found has landed with another.
OK = 200


def lists_sessions(landed: Landed) -> bool:
    """Whether a run has asked a source for its sessions."""
    return any(poll.endpoint == SESSIONS_ENDPOINT for poll in landed.polls)


def registry_frames(landed: Landed) -> dict[str, pl.DataFrame]:
    """Return the listings of sessions, the sessions on their pages, and what was decided.

    A session that comes more than once is kept as it came last. Raises LandingError if a body
    is no page.
    """
    listings = [poll for poll in landed.polls if poll.endpoint == SESSIONS_ENDPOINT]
    frames = [pl.DataFrame(schema=SESSIONS)]
    if listings:
        providers = {poll.source: poll.provider for poll in listings}
        for batch in landed.read_batches():
            pages = batch.filter(pl.col("endpoint").is_in(OF_SESSIONS), status=OK)
            frames.append(sessions_frame(correct_pages(pages, listings, ["source"]), providers))
    sessions = pl.concat(frames).unique(
        subset=("source", "session_id"), keep="last", maintain_order=True
    )
    keep = landed.run.keep_agent_definition
    decisions = [msgspec.structs.asdict(decision) for decision in landed.decisions]
    plans = [msgspec.structs.asdict(plan) for plan in landed.plans]
    return {
        "landed_listings": polls_frame(listings),
        "landed_sessions": sessions,
        "landed_evidence": evidence_frame(sessions, landed.polls, keep_agent_definition=keep),
        "landed_decisions": pl.DataFrame(decisions, schema=DECISIONS),
        "landed_plans": pl.DataFrame(plans, schema=PLANS),
    }
