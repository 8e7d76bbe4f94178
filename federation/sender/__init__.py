"""Sends to other servers what happens here."""
