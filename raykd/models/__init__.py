"""Teachers and students: bodies by name from the configuration, and the heads on top of them."""
