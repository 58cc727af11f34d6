"""Speeds on the user's own machine, each beside what it should be compared with."""
