"""End-to-end encryption: the keys of devices, what they send each other, and backups; all of it unread."""
