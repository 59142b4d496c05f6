"""The command `session-threads`: one file per group of commands."""
