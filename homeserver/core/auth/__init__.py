"""Event authorization rules of every room version."""
