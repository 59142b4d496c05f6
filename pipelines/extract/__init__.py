"""Which sessions to ask, and all pages of each."""
