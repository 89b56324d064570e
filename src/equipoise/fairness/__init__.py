"""What a study's public results say of groups of people: pure functions, no rows."""
