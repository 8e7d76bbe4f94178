"""End-to-end encryption: the keys of devices, what devices send each other, and backups; nothing here can read them."""
