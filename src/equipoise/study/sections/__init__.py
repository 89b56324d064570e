"""What `results.json` says, one file a section: public results made into plain values."""
