"""Made-up cohorts with a known truth, for tests and benchmarks; nobody in them is real."""
