"""Where rows and wires meet: the gate at a site, the loop at the centre."""
