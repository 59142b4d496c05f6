"""Session threads: from the pages of an API to tables of statuses and durations."""

__version__ = "0.1.0"
