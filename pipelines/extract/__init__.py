"""Which sessions to ask, and all pages of each: followed to an honest end."""
