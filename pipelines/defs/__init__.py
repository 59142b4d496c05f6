"""What Dagster sees; the only files, with definitions.py, that import it."""
