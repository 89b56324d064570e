"""Files that leave with the results, in the formats of the field."""
