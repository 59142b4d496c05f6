"""Compressed bodies: inflated as they come, and never beyond a bound."""

from __future__ import annotations

import zlib

# What is asked for; zlib tells the two apart by their first bytes.
ACCEPTED = "gzip, deflate"
ANY_HEADER = 32 + zlib.MAX_WBITS


class Inflater:
    """Inflates one body of the encoding that its header names; none is as good as identity.

    Raises ValueError for an encoding that was not asked for.
    """

    def __init__(self, encoding: str | None) -> None:
        names = [name.strip().lower() for name in (encoding or "").split(",")]
        names = [name for name in names if name not in {"", "identity"}]
        if len(names) > 1 or not {*names} <= {"gzip", "x-gzip", "deflate"}:
            raise ValueError(f"in the encoding {encoding!r}, which was not asked for")
        self._is_plain = not names
        self._is_first = True
        self._inflating = zlib.decompressobj(ANY_HEADER)

    def inflate(self, chunk: bytes, limit: int) -> bytes:
        """Return what the chunk holds, at most one byte more than the limit.

        Raises ValueError for what is not of the encoding.
        """
        if self._is_plain:
            return chunk
        inflated = bytearray()
        try:
            while chunk and len(inflated) <= limit:
                inflated += self._decompress(chunk, limit + 1 - len(inflated))
                chunk = self._inflating.unconsumed_tail
                if self._inflating.eof:
                    # Some servers send one compressed file behind another, or zeros.
                    chunk = self._inflating.unused_data.lstrip(b"\0")
                    self._inflating = zlib.decompressobj(ANY_HEADER)
        except zlib.error as error:
            raise ValueError(f"that cannot be decoded: {error}") from None
        return bytes(inflated)

    def _decompress(self, chunk: bytes, limit: int) -> bytes:
        is_first, self._is_first = self._is_first, False
        try:
            return self._inflating.decompress(chunk, limit)
        except zlib.error:
            if not is_first:
                raise
        # Many servers send deflate without the header that it ought to have.
        self._inflating = zlib.decompressobj(-zlib.MAX_WBITS)
        return self._inflating.decompress(chunk, limit)
