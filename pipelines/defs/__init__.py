"""What Dagster sees; the only files, with definitions.py, that import it."""

import gc

gc.freeze()  # what Dagster has imported stays: no collection needs to look at it again
