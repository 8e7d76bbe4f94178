"""Long polls, answered by a shorter way."""
