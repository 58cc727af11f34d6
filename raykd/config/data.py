"""Settings of the data: where examples come from, how they are split and fed."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from raykd.config.section import ArtefactName, Fraction, Section

Cache = Literal["auto", "memory", "none"]
BUILT_IN_SOURCES = ("docsqa", "digits")


class ExternalColumn(Section):
    """A column of a teacher that was run elsewhere: a list of a number per class, or one number for class 1."""

    column: str = Field(description="name of the column")
    kind: Literal["probabilities", "logits"] = Field(
        "probabilities", description="of the numbers; one logit alone is the log-odds of class 1"
    )


def _named_column(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


class Columns(Section):
    """Which columns of a source hold what."""

    text: list[str] | None = Field(None, description="one text column, or two for a pair (query, passage)")
    features: str | None = Field(None, description="a column of equally long lists of numbers (image, vector)")
    label: str = Field("label", description="integer class, 0 to classes - 1")
    group: str | None = Field(
        None,
        description="a column that names each row's question: its rows stay in one split, test rows of one are ranked",
    )
    external: dict[ArtefactName, Annotated[ExternalColumn, BeforeValidator(_named_column)]] = Field(
        default_factory=dict, description="external teachers by name: their column of probabilities, or column and kind"
    )


class DataConfig(Section):
    """Where examples come from and how they are split and fed."""

    source: str = Field("docsqa", description="docsqa, digits, or a path: a file, or a folder of <split> files")
    columns: Columns = Field(default_factory=Columns)
    max_length: int = Field(64, ge=8, description="tokens of an encoded text or pair; longer ones are truncated")
    vocabulary: int = Field(8000, ge=200, description="size of the WordPiece vocabulary trained on the data")
    labelled: int | None = Field(
        None, ge=1, description="training rows that keep their label, the rest is unlabelled; default: all"
    )
    unlabelled: int | None = Field(None, ge=0, description="most unlabelled rows kept; default: all")
    repaired: int = Field(
        0, ge=0, description="unlabelled rows added to a source of pairs: its queries with other passages of its own"
    )
    validation: Fraction = Field(0.1, description="share of the rows held out for choosing, where none comes")
    test: Fraction = Field(0.2, description="share of the rows held out for the final evaluation, where none comes")
    shard_rows: int = Field(4096, ge=1, description="most rows in one Parquet shard")
    bucket: int = Field(16, ge=1, description="token batches are padded to a multiple of it; each width compiles once")
    streams: int = Field(8, ge=1, description="parallel row streams; batch sizes are multiples of it")
    read_tasks: int = Field(1, ge=0, description="Ray Data tasks that read for one worker; 0: read in its own process")
    prefetch: int = Field(8, ge=0, description="batches prepared ahead of the step that reads them")
    cache: Cache = Field("auto", description="keep read rows in memory; auto: where a worker's part is 256 MiB or less")
