"""One training loop under any strategy, its checkpoints, and launching it."""
