"""Tables beside this machine: a DuckLake, its catalog in PostgreSQL and its rows in Parquet files.

The configuration names the variables that hold passwords and keys, never these themselves.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from pydantic import AfterValidator, Field, SecretStr

from pipelines.config.values import Name, Strict
from pipelines.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,50}")
ON_S3 = "s3://"


def check_schema(value: str) -> str:
    """Reject what PostgreSQL would fold or cut: a team's schema has this very name."""
    if not SCHEMA.fullmatch(value):
        raise ValueError("must be lower case letters, digits and _, 51 at most, and no digit first")
    return value


def check_data(value: str) -> str:
    """Reject a place that another machine would look for elsewhere; drop a slash at its end."""
    if "://" in value and not value.startswith(ON_S3):
        raise ValueError(f"must be a directory, or {ON_S3}bucket/path")
    if not value.startswith(ON_S3) and not Path(value).is_absolute():
        raise ValueError("must be a whole path: every machine looks for it there")
    return value.rstrip("/")


class Catalog(Strict):
    """The PostgreSQL database that holds the lake's catalog, in a schema of its own."""

    host: Annotated[str, Field(min_length=1)]
    port: int = Field(default=5432, ge=1, le=65535)
    database: Name
    user: Name
    schema_name: Annotated[str, AfterValidator(check_schema), Field(alias="schema")]
    password_env: Name


class LakeKey(Strict):
    """`warehouse: lake:` of the configuration: the catalog, and where the files are."""

    catalog: Catalog
    data: Annotated[str, AfterValidator(check_data)]


class WarehouseKey(Strict):
    """`warehouse:` of the configuration: where the tables are."""

    lake: LakeKey


class ObjectStore(Strict):
    """`s3:` of the configuration: the server of every s3:// place, and who asks it."""

    endpoint: Annotated[str, Field(min_length=1)] | None = None
    region: Name = "us-east-1"
    key_id_env: Name
    secret_env: Name
    use_ssl: bool = True


class Lake(msgspec.Struct, frozen=True):
    """A lake as it is opened. `keys` are (key id, secret) of the object store, if it is on one."""

    catalog: Catalog
    data: str
    password: SecretStr
    store: ObjectStore | None = None
    keys: tuple[SecretStr, SecretStr] | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"lake {self.catalog.schema_name} at {self.catalog.host}:{self.catalog.port}"

    def hide(self, text: str) -> str:
        """Return the text without the password and the keys."""
        for secret in (self.password, *(self.keys or ())):
            text = text.replace(secret.get_secret_value(), "***")
        return text


def make_lake(
    warehouse: WarehouseKey | None, store: ObjectStore | None, environ: Mapping[str, str]
) -> Lake | None:
    """Return the lake with the secrets of the variables; None if the tables are in a file.

    Raises SettingsError for a variable that is not set, and for files on a store without keys.
    """
    if warehouse is None:
        return None
    lake = warehouse.lake
    password = _read(lake.catalog.password_env, "password_env", environ)
    if not lake.data.startswith(ON_S3):
        return Lake(lake.catalog, lake.data, password)
    if store is None:
        raise SettingsError("s3", f"is missing, and {lake.data} is on one", "Say who asks it.")
    named = (("key_id_env", store.key_id_env), ("secret_env", store.secret_env))
    key_id, secret = (_read(variable, key, environ) for key, variable in named)
    return Lake(lake.catalog, lake.data, password, store, (key_id, secret))


def _read(variable: str, key: str, environ: Mapping[str, str]) -> SecretStr:
    if secret := environ.get(variable, "").strip():
        return SecretStr(secret)
    fix = f"Put it there: export {variable}=…"
    raise SettingsError(key, f"the variable {variable} is not set", fix)
