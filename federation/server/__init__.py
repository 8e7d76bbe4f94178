"""The edge towards servers that ask: one module per section of the server-server API."""
