"""The rules of Matrix: no I/O, no await, no clock."""
