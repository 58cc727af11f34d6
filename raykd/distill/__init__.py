"""From teachers' cached logits to students, by recipe and stage."""
