"""One module per stream, each with two verbs: complete and incremental."""
