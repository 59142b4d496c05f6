"""From page bytes to typed polars frames, one module per kind of object."""
