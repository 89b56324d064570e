"""2-bit genotype blocks and what is computed on them: pure functions on byte arrays, no files."""
