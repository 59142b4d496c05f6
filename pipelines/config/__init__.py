"""What to poll, how fast, and where the data are: one model, one loader."""
