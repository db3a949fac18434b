"""Files of any size through the same pure stages, claims out to files."""
