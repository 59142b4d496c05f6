"""Everything that can go wrong, in one tree.

    SessionThreadsError
    ├── SettingsError            the configuration is rejected
    ├── ApiError                 a request or a listing failed
    │   ├── TokenRejected        401, the token is bad for every session
    │   ├── Forbidden            403
    │   ├── SessionGone          404
    │   ├── RequestRejected      400, and every other response that a retry cannot fix
    │   ├── Redirected           3xx, never followed
    │   ├── Unavailable          no response, or one that asks to come back later; retried
    │   ├── Unreachable          no connection to the server, whatever it is asked
    │   ├── Throttled            429, for longer than a request may wait
    │   ├── MalformedBody        a response that is not the JSON it should be; retried
    │   ├── BodyTooLarge         a response that never ends, or is too large for a page
    │   ├── Unexpected           a failure that nobody thought of
    │   ├── Interrupted          someone ended the run
    │   ├── DeadlineReached      the run has taken as long as it may
    │   ├── TooManySessions      a source finds more sessions than it may
    │   └── PaginationIncomplete  the pages do not end, or contain something that is no thread
    ├── LandingError             a landed file cannot be read or written
    ├── StoreUnavailable         the object store of landed files does not do what it is asked
    ├── WarehouseError           the tables cannot be opened, loaded or published
    │   ├── WarehouseBusy        another process writes
    │   ├── LoadRejected         rows that must not exist: the load is undone
    │   ├── WarehouseNewer       the file was made by a newer version
    │   └── WarehouseOlder       the file was made before the first release
    ├── SourceBusy               another process polls the source
    ├── AnalysisError            an analysis is malformed, fails, or breaks one of its checks
    ├── QueryError               a query of the user's fails
    ├── ReportError              the report cannot be drawn or written
    └── AlertError               the webhook did not accept an alert

Every message is one line that says what failed, where, and what to do next.
"""

from __future__ import annotations

from typing import ClassVar

# What the ledger calls a run that was ended, and a 401, whatever the server calls it.
INTERRUPTED = "interrupted"
TOO_MANY_SESSIONS = "too_many_sessions"
TOKEN_REJECTED = "authentication_error"  # noqa: S105 - an error's name


class SessionThreadsError(Exception):
    """A failure that is explained to the user in one line; `exit_code` is the command's."""

    exit_code: ClassVar[int] = 1
    fix: ClassVar[str] = ""

    def advise(self) -> str:
        """Return the message and what to do next, unless it says so itself."""
        return f"{str(self).rstrip('.')}. {self.fix}" if self.fix else str(self)


class SettingsError(SessionThreadsError):
    """The configuration is rejected: which file or variable, which key, and the fix."""

    exit_code = 2

    def __init__(self, where: str, problem: str, fix: str) -> None:
        super().__init__(f"{where}: {problem}. {fix}")


class ApiError(SessionThreadsError):
    """A request or a listing failed.

    `status` is the HTTP status (None if no response came), `error_type` the server's
    `error.type` or our own name for the failure, `request_id` the server's, `retry_after_s` the
    seconds the server asked to wait. `outcome` is what the ledger calls a session that ends so
    before its first page. One that `ends_source` holds for every session of the source: none of
    them is asked for again in this run; `end_reason` is how the ledger calls that.
    """

    outcome: ClassVar[str] = "failed"
    retryable: ClassVar[bool] = False
    ends_source: ClassVar[bool] = False
    end_reason: ClassVar[str] = "interrupted"

    def __init__(
        self,
        message: str,
        *,
        error_type: str,
        status: int | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.status = status
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class TokenRejected(ApiError):
    """401: the token is bad for every session of the source."""

    exit_code = 3
    ends_source = True
    fix = "Put a valid token into its variable"


class Forbidden(ApiError):
    """403: the token may not read this session."""

    outcome = "forbidden"
    fix = "Use another token, or take the session out of the configuration"


class SessionGone(ApiError):
    """404: the server does not know this session (any more)."""

    outcome = "gone"
    fix = "If base_url is right, take the session out of the configuration"


class RequestRejected(ApiError):
    """400, or another response that a retry cannot fix."""


class Redirected(ApiError):
    """3xx: following it would send the token elsewhere."""


class Unavailable(ApiError):
    """No response, or one that asks to come back later."""

    retryable = True


class Unreachable(Unavailable):
    """There is no connection to the server: what else it would be asked fares alike."""

    ends_source = True


class Throttled(ApiError):
    """429, and the server asks to wait for longer than a request may."""

    ends_source = True
    fix = "Run again when the server allows it, or raise retry_budget_s"


class MalformedBody(ApiError):
    """A response that is not the JSON it should be: torn, or not from the API at all."""

    retryable = True


class BodyTooLarge(ApiError):
    """A response that never ends, or is too large for a page."""


class Unexpected(ApiError):
    """A failure that nobody thought of: it ends its session alone."""


class Interrupted(ApiError):
    """Someone ended the run: Ctrl-C or SIGTERM."""

    outcome = "incomplete"


class DeadlineReached(ApiError):
    """A run has taken as long as it may: what has come is loaded, the rest comes with the next."""

    outcome = "incomplete"
    end_reason = "deadline"


class TooManySessions(ApiError):
    """More sessions pass a source's filters than it may poll: no new one is polled by accident."""

    fix = "Narrow discover, or raise its max_sessions"


class PaginationIncomplete(ApiError):
    """The pages do not end, or contain something that is no thread."""

    outcome = "incomplete"


class LandingError(SessionThreadsError):
    """A landed file cannot be read or written. The message names it."""

    exit_code = 4


class StoreUnavailable(SessionThreadsError):
    """The object store of landed files does not do what it is asked: no fault of a file."""

    exit_code = 4
    fix = "Look at landing, s3 and the server; then run again: what has landed is kept"


class WarehouseError(SessionThreadsError):
    """The tables cannot be opened, loaded or published."""

    exit_code = 4


class WarehouseBusy(WarehouseError):
    """Another process holds the warehouse open."""


class LoadRejected(WarehouseError):
    """A load would have made rows that must not exist, and is undone."""


class WarehouseNewer(WarehouseError):
    """The warehouse was made by a newer version of session-threads."""


class WarehouseOlder(WarehouseError):
    """The warehouse was made before the first release: `replay` rebuilds it."""


class SourceBusy(SessionThreadsError):
    """Another process polls the source: its rate holds for one alone."""

    exit_code = 4


class AnalysisError(SessionThreadsError):
    """An analysis file is malformed, its query fails, or one of its checks found rows.

    `failures` is check -> what it found; a query that fails fails the check that it is built.
    """

    def __init__(self, message: str, failures: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.failures = failures or {}


class QueryError(SessionThreadsError):
    """A query of the user's fails."""


class ReportError(SessionThreadsError):
    """The report cannot be drawn from the published copy, or cannot be written."""


class AlertError(SessionThreadsError):
    """The webhook did not accept an alert. The message never contains its URL, a secret."""
