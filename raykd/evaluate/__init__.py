"""Quality and speed of teachers, students and ensembles on the test split."""
