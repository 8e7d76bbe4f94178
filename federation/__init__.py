"""The edge towards other servers."""
