"""The tables: open and migrate, load a run, derive the analyses, publish a copy to read."""
