"""Compressed bodies: inflated as they come, and never beyond a bound."""

from __future__ import annotations

import zlib

# What is asked for; zlib tells the two apart by their first bytes.
ACCEPTED = "gzip, deflate"
ANY_HEADER = 32 + zlib.MAX_WBITS


class Inflater:
    """Inflates one body of the encoding that its header names; none means identity.

    Raises ValueError for an encoding that was not asked for.
    """

    def __init__(self, encoding: str | None) -> None:
        name = (encoding or "identity").strip().lower()
        if name not in {"identity", "gzip", "x-gzip", "deflate"}:
            raise ValueError(f"in the encoding {name!r}, which was not asked for")
        self._inflating = None if name == "identity" else zlib.decompressobj(ANY_HEADER)

    def inflate(self, chunk: bytes, limit: int) -> bytes:
        """Return what the chunk holds, at most one byte more than the limit.

        Raises ValueError for what is not of the encoding.
        """
        if self._inflating is None:
            return chunk
        inflated = bytearray()
        try:
            while chunk and len(inflated) <= limit:
                inflated += self._inflating.decompress(chunk, limit + 1 - len(inflated))
                chunk = self._inflating.unconsumed_tail
                if self._inflating.eof:
                    # Some servers send one compressed file behind another.
                    chunk = self._inflating.unused_data
                    self._inflating = zlib.decompressobj(ANY_HEADER)
        except zlib.error as error:
            raise ValueError(f"that cannot be decoded: {error}") from None
        return bytes(inflated)
