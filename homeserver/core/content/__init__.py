"""Typed readers of the event contents that the rules depend on."""
