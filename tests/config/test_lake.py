"""Where the tables are: said whole or rejected, and no secret stands in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.config.loader import load_tolerant
from pipelines.config.place import find_place
from pipelines.errors import SettingsError
from tests.support import CANARY

CATALOG = {
    "host": "db",
    "database": "threads",
    "user": "loader",
    "schema": "team_a",
    "password_env": "LAKE_PASSWORD",
}
TYPED = "typed-into-the-file"
STORE = {"key_id_env": "KEY", "secret_env": "SECRET"}
VARIABLES = {"LAKE_PASSWORD": CANARY, "KEY": "k", "SECRET": f"{CANARY}-2"}


def write(data: str = "/lake", store: object = None, **catalog: Any) -> dict[str, str]:
    """Write a configuration; return the environment that names it."""
    document = {"warehouse": {"lake": {"catalog": CATALOG | catalog, "data": data}}, "s3": store}
    path = Path("lake.yaml").absolute()
    path.write_bytes(msgspec.json.encode(document))
    path.chmod(0o600)
    return VARIABLES | {"SESSION_THREADS_CONFIG": str(path)}


def test_lake_is_read() -> None:
    """A lake has its secrets from the variables, and shows none of them."""
    environ = write("s3://bucket/lake/", STORE)
    _, lake = find_place(environ)
    assert lake is not None
    assert lake == load_tolerant(environ).lake
    assert (lake.name, lake.data) == ("lake team_a at db:5432", "s3://bucket/lake")
    assert CANARY not in repr(lake) + repr(load_tolerant(environ))
    assert lake.hide(f"a {CANARY} b {CANARY}-2 k") == "a *** b ***-2 ***"
    assert find_place({})[1] is None


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"schema": "Team A"}, "schema: must be lower case"),
        ({"schema": "1a"}, "schema: must be lower case"),
        ({"schema": 'a"; DROP'}, "schema: must be lower case"),
        ({"host": ""}, "host"),
        ({"port": 0}, "port"),
        ({"password": TYPED}, "must not stand in a file"),
        ({"password_env": "NOT_SET"}, "the variable NOT_SET is not set"),
        ({"data": "relative/path"}, "must be a whole path"),
        ({"data": "gs://bucket/x"}, "must be a directory, or s3://"),
        ({"data": "s3://bucket/x"}, "s3: is missing"),
        ({"data": "s3://bucket/x", "store": {**STORE, "secret_env": "NO"}}, "NO is not set"),
        ({"data": "s3://bucket/x", "store": {**STORE, "secret": TYPED}}, "must not stand in"),
        ({"unknown": 1}, "unknown key"),
    ],
)
def test_what_is_rejected(keys: dict[str, Any], said: str) -> None:
    """What is wrong is one line, also for commands that read nothing else: no file stands in."""
    environ = write(**keys)
    for read in (find_place, load_tolerant):
        with pytest.raises(SettingsError) as raised:
            read(environ)
        assert said in str(raised.value)
        assert not any(secret in str(raised.value) for secret in (CANARY, TYPED))
