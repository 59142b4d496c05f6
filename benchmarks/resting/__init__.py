"""What resting costs, and how soon a source that lies is found: docs/resting.json."""

from pathlib import Path

RESULTS = Path(__file__).parents[2] / "docs" / "resting.json"
