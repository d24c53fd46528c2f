"""HTTP and websockets: addresses, tokens, limits."""
