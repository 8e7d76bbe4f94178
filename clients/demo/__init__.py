"""Demonstrations: programs that start servers of ours and show what people see of them."""
