"""Accounts, devices, tokens and profiles."""
