"""Raw pages: what the servers sent, before anyone has interpreted it."""
