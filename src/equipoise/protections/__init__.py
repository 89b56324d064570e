"""Interchangeable protections, one file each."""
