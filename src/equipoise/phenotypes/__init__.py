"""Readers of what is known about people besides their genotypes."""
