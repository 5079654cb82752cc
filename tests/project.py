"""Where the project lies: tests start its commands and read its sample data."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "tasks" / "models" / "weights"
GOLDENS = ROOT / "tests" / "goldens"
