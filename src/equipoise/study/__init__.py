"""From one study file to a plan and a run."""
