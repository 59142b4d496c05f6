"""The threads endpoint: one request, one session's pages, every session at once."""
