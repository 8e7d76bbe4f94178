"""Push rules: which events a user is told of, and how."""
