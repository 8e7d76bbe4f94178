"""A load generator: a program that acts as many clients of any Matrix homeserver."""
