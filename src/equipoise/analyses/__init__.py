"""Analyses over sums, one file each."""
