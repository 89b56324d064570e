"""Interchangeable transports, one file each."""
