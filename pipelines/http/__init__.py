"""One request: authorized, rate-limited, bounded in time and size, and tried again."""
