"""Client-server REST, one module per section of the specification."""
