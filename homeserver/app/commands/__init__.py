"""The commands of the homeserver command line."""
