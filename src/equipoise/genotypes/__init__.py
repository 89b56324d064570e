"""Readers of genotypes, and what lays each in the order of the study's public list."""
