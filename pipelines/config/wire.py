"""Headers and query parameters that every request of a source carries; secret ones are named.

A value is a text, or `{env: NAME}`: that of a variable, which is as secret as the token.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated, Any

import msgspec
from pydantic import PlainValidator

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET_NAME = re.compile(
    r"(?i)(^|[-_.])(authorization|token|secret|password|passwd|api[-_]?key|cookie|signature)s?($|[-_.])"
)
# What the client itself says, and what it asks the server for.
MANAGED_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "host",
        "te",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
MANAGED_PARAMS = frozenset(
    {"after_id", "before_id", "limit", "order", "page", "statuses", "statuses[]"}
)


class FromVariable(msgspec.Struct, frozen=True):
    """The value of a variable of the environment: it is read there, and shown nowhere."""

    name: str


Sent = Mapping[str, str | FromVariable]


def read_headers(value: object) -> Sent:
    """Return headers by their names in lower case. Raises ValueError for what no request holds."""
    headers: dict[str, str | FromVariable] = {}
    for name, given in _read(value, _check_header):
        if name.lower() in headers:
            raise ValueError(f"the header {name} is given twice")
        if isinstance(given, str) and not (given.isascii() and given.isprintable()):
            raise ValueError(f"the value of {name} must be printable ASCII")
        headers[name.lower()] = given
    return headers


def read_params(value: object) -> Sent:
    """Return query parameters. Raises ValueError for those that paging needs."""
    return dict(_read(value, _check_param))


def _read(value: object, check: Callable[[str], None]) -> list[tuple[str, str | FromVariable]]:
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping of names to values")  # noqa: TRY004 - pydantic's
    pairs = []
    for name, given in value.items():
        if not isinstance(name, str) or not name.isprintable() or not name:
            raise ValueError(f"the name {name!r} must be a text: put it into quotes")
        check(name)
        if given is not None:  # null: what the provider would send is left out
            pairs.append((name, _read_value(name, given)))
    return pairs


def _check_header(name: str) -> None:
    if not HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header")
    if name.lower() == "authorization":
        raise ValueError("the header authorization is sent by `auth: bearer`, with the token")
    if name.lower() in MANAGED_HEADERS:
        raise ValueError(f"the header {name} is the client's")


def _check_param(name: str) -> None:
    if name in MANAGED_PARAMS:
        raise ValueError(f"the parameter {name} is the client's: see page_limit, order, --status")


def _read_value(name: str, value: Any) -> str | FromVariable:  # noqa: ANN401 - any YAML
    if isinstance(value, Mapping):
        variable = value.get("env")
        if len(value) == 1 and isinstance(variable, str) and VARIABLE.fullmatch(variable):
            return FromVariable(variable)
        raise ValueError(
            f"the value of {name} must be a text, or {{env: NAME}}, the name of a variable"
        )
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, date):
        value = value.isoformat()  # 2023-06-01 is a date in YAML
    elif isinstance(value, int | float):
        value = str(value)
    if not isinstance(value, str) or not value.isprintable() or value != value.strip():
        raise ValueError(f"the value of {name} must be a text on one line, or {{env: NAME}}")
    if SECRET_NAME.search(name):
        raise ValueError(
            f"the value of {name} must not stand in a file, as a secret: write {{env: NAME}}"
        )
    return value


Headers = Annotated[Sent, PlainValidator(read_headers)]
Params = Annotated[Sent, PlainValidator(read_params)]
