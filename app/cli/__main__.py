"""`python -m app.cli` is `koppelpunt`."""

from app.cli import main

main()
