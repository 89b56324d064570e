"""Pure numerical routines that analyses and models share."""
