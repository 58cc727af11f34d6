"""A trained model, or an ensemble, as files to serve: written, loaded back, compared with the source, described."""
