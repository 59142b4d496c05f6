"""What the analyses are worth: worlds whose truth is known, run through the real load."""
