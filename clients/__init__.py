"""The edge towards clients."""
