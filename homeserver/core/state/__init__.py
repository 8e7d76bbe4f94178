"""State resolution of every room version, as pure functions."""
