"""What clients see: the GraphQL schema, and how operations on it are prepared and run."""
