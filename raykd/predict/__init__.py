"""Batch prediction with a finished run's models: any file in, Parquet out."""
