"""An object store as a place where runs land."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from pipelines.config.lake import ON_S3
from pipelines.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.config.lake import Access

# Of an error: its status, and S3's own words for it.
SAID = [
    re.compile(pattern)
    for pattern in (r"status code: (\d+ [\w ]+)", "<Code>(.*?)</Code>", "<Message>(.*?)</Message>")
]
NO_BUCKET = "NoSuchBucket"
# A server that is started again is back within it.
PATIENCE = timedelta(seconds=30)
# Of one request, whatever it carries.
TIMEOUT = "60s"


class Objects:
    """A prefix in a bucket, s3://bucket/prefix, as a store; see Store."""

    def __init__(self, place: str, access: Access) -> None:
        self._place, self._access = place, access
        self._store = connect(place, access)

    def put(self, name: str, content: bytes | memoryview = b"") -> bool:
        """Put an object. The server compares names, so that of several one is put."""
        with self._explaining(name, "written"):
            try:
                self._store.put(name, bytes(content), mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

    def list(self) -> list[str]:
        """Return the names below the prefix; what is deeper is not ours."""
        with self._explaining("", "listed"):
            found = self._store.list_with_delimiter()["objects"]
        return sorted(each["path"] for each in found)

    def get(self, name: str) -> bytes:
        """Return the content of an object."""
        with self._explaining(name, "read"):
            return bytes(self._store.get(name).bytes())

    def delete(self, *names: str) -> None:
        """Delete objects."""
        for name in names:
            with self._explaining(name, "deleted"), suppress(FileNotFoundError):
                self._store.delete(name)

    def locate(self, name: str = "") -> str:
        """Return the object's URL."""
        return f"{self._place}/{name}" if name else self._place

    @contextmanager
    def _explaining(self, name: str, verb: str) -> Iterator[None]:
        """Raise what the store answers in one line, without keys."""
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            if isinstance(error, FileNotFoundError) and name and NO_BUCKET not in str(error):
                raise FileNotFoundError("there is no such object") from None
            said = self._access.hide(describe(str(error)))
            raise StoreUnavailable(f"{self.locate(name)}: cannot be {verb} ({said})") from None


def connect(place: str, access: Access) -> S3Store:
    """Return the client of a prefix in a bucket."""
    bucket, _, prefix = place.removeprefix(ON_S3).partition("/")
    return S3Store(
        bucket,
        prefix=prefix or None,
        endpoint=name_endpoint(access),
        region=access.store.region,
        access_key_id=access.key_id.get_secret_value(),
        secret_access_key=access.secret.get_secret_value(),
        client_options={"allow_http": not access.store.use_ssl, "timeout": TIMEOUT},
        retry_config={"retry_timeout": PATIENCE},
    )


def describe(text: str) -> str:
    """Return what the server said, of a text of many lines; else the first of them."""
    said = [match[1] for match in (pattern.search(text) for pattern in SAID) if match]
    return ": ".join(said) or text.partition("\n")[0]


def name_endpoint(access: Access) -> str | None:
    """Return the URL of the server; None for that of the region."""
    endpoint, scheme = access.store.endpoint, "https" if access.store.use_ssl else "http"
    return f"{scheme}://{endpoint}" if endpoint else None
