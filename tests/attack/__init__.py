"""An attack on the published figures, with all that a reader can know. `python -m tests.attack` reports."""
