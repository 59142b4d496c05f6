"""What differs between servers: one file per API, and what every one of them is made of."""
