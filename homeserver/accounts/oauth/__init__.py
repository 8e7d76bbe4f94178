"""OAuth 2.0 inside the server: clients, grants, and who is signed in on the web pages."""
