"""Where an id stands in a source, for an error message."""

import numpy as np

from raykd.config import DataConfig
from raykd.data.sources import FORMATS, open_source


def twice(data: DataConfig, example_id: int) -> str:
    """The first two places of an id of a user's own, in words. It reads the source again, up to the second place."""
    name = data.columns.id
    if name is None:
        return "two rows"  # Of a built-in source; those of files are numbered.
    source, places = open_source(data), list[str]()
    for piece in source.pieces:
        for chunk in FORMATS[source.kind].chunks(source.filesystem, piece, data, True):
            found = np.flatnonzero(chunk.table[name].to_numpy() == example_id)
            places += [f"{piece.files[0]}, row {chunk.rows[place]}" for place in found]
            if len(places) > 1:
                return " and in ".join(places[:2])
    return " and in ".join(places)
