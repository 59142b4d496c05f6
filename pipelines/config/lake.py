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


# A directory that all machines share, or a place on an object store.
Data = Annotated[str, AfterValidator(check_data)]


class Catalog(Strict):
    """The PostgreSQL database that holds the lake's catalog, in a separate schema."""

    host: Annotated[str, Field(min_length=1)]
    port: int = Field(default=5432, ge=1, le=65535)
    database: Name
    user: Name
    schema_name: Annotated[str, AfterValidator(check_schema), Field(alias="schema")]
    password_env: Name


class LakeKey(Strict):
    """`warehouse: lake:` of the configuration: the catalog, and where the files are."""

    catalog: Catalog
    data: Data


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


class Access(msgspec.Struct, frozen=True):
    """An object store as it is asked."""

    store: ObjectStore
    key_id: SecretStr
    secret: SecretStr

    def hide(self, text: str) -> str:
        """Return the text without the keys."""
        return hide(text, self.secret, self.key_id)


class Lake(msgspec.Struct, frozen=True):
    """A lake as it is opened; `access` is that to the object store, if it is on one."""

    catalog: Catalog
    data: str
    password: SecretStr
    access: Access | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"lake {self.catalog.schema_name} at {self.catalog.host}:{self.catalog.port}"

    def hide(self, text: str) -> str:
        """Return the text without the password and the keys."""
        text = hide(text, self.password)
        return self.access.hide(text) if self.access else text


class Places(msgspec.Struct, frozen=True):
    """Where tables and landed pages are, if not in the data directory, with the secrets."""

    lake: Lake | None = None
    access: Access | None = None


def hide(text: str, *secrets: SecretStr) -> str:
    """Return the text without the secrets."""
    for secret in secrets:
        text = text.replace(secret.get_secret_value(), "***")
    return text


def make_places(
    warehouse: WarehouseKey | None,
    landing: str | None,
    store: ObjectStore | None,
    environ: Mapping[str, str],
) -> Places:
    """Return the places that the keys name, with the secrets of the variables.

    Raises SettingsError for a variable that is not set, and for a place on a store without keys.
    """
    lake = warehouse.lake if warehouse else None
    named = [place for place in (lake and lake.data, landing) if place and place.startswith(ON_S3)]
    access = make_access(named[0], store, environ) if named else None
    if lake is None:
        return Places(None, access)
    password = _read(lake.catalog.password_env, "password_env", environ)
    asked = access if lake.data.startswith(ON_S3) else None
    return Places(Lake(lake.catalog, lake.data, password, asked), access)


def make_access(place: str, store: ObjectStore | None, environ: Mapping[str, str]) -> Access:
    """Return who asks the store that a place is on. Raises SettingsError."""
    if store is None:
        raise SettingsError("s3", f"is missing, and {place} is on one", "Say who asks it.")
    key_id = _read(store.key_id_env, "key_id_env", environ)
    return Access(store, key_id, _read(store.secret_env, "secret_env", environ))


def _read(variable: str, key: str, environ: Mapping[str, str]) -> SecretStr:
    if secret := environ.get(variable, "").strip():
        return SecretStr(secret)
    fix = f"Put it there: export {variable}=…"
    raise SettingsError(key, f"the variable {variable} is not set", fix)
