"""The search for the token that ends every run of the suite finds it wherever it may hide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest

from tests.conftest import find_texts

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "pt-" + "-".join(["hidden"] * 9)


@pytest.mark.parametrize("suffix", ["txt", "duckdb", "parquet"])
def test_token_is_found(tmp_path: Path, suffix: str) -> None:
    """It is found in a text, a database and a Parquet file, compressed, beside damaged ones."""
    for name in ("a.duckdb", "z.duckdb", "a.parquet", "z.parquet"):
        (tmp_path / name).write_bytes(b"damaged" * 1000)
    path = tmp_path / f"m.{suffix}"
    frame = pl.DataFrame({"n": range(5000), "text": [f"{SECRET} {n}" for n in range(5000)]})
    if suffix == "parquet":
        frame.write_parquet(path, compression="zstd")
    elif suffix == "duckdb":
        with duckdb.connect(str(path)) as connection:
            connection.execute("CREATE SCHEMA s")
            connection.execute(
                f"CREATE TABLE s.t AS SELECT '{SECRET}' || i AS x FROM range(9) r(i)"
            )
    else:
        path.write_text(f"so {SECRET}")
    assert find_texts(tmp_path.rglob("*"), "another", SECRET) == [path]
    assert find_texts(tmp_path.rglob("*"), "another", "a third") == []
