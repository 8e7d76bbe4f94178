"""The edge towards PostgreSQL."""
