"""Who agreed to what: the terms, the decision about one person, the table they are kept in."""
