"""What may be said of the cube's true figures. `docs/disclosure.md` states the rules on one page."""
