"""What to poll, how fast, and where the data lies: one model, one loader."""
