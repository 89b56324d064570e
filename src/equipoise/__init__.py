"""Genomic risk models across hospitals that never pool their genomes."""

__version__ = "0.1.0"
