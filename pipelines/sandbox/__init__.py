"""A bundled API server to try, demonstrate and test against: loopback only, made-up data."""
