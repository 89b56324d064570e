"""Models that are trained from sums: frozen shapes and pure functions of public parameters."""
