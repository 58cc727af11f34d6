"""Settings of the data: where examples come from, how they are split and fed."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from raykd.config.section import ArtefactName, Fraction, Section

Cache = Literal["auto", "memory", "none"]
Format = Literal["parquet", "csv", "jsonl", "tfrecord", "images"]
BUILT_IN_SOURCES = ("docsqa", "digits")


class ExternalColumn(Section):
    """A column of a teacher that was run elsewhere: a list of a number per class, or one number for class 1."""

    column: str = Field(description="name of the column")
    kind: Literal["probabilities", "logits"] = Field(
        "probabilities", description="of the numbers; one logit alone is the log-odds of class 1"
    )


def _named_column(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


def _classes(value: Any) -> Any:
    names = isinstance(value, list) and all(isinstance(name, str) for name in value)
    if value is None or (names and len(set(value)) == len(value) > 1):
        return value
    if not isinstance(value, int) or isinstance(value, bool) or value < 2:
        raise ValueError("how many classes, from 2, or a list of 2 or more different names; quote no and yes")
    return value


def _features(value: Any) -> Any:
    names = isinstance(value, list) and all(isinstance(name, str) for name in value)
    if value is None or isinstance(value, str) or (names and value):
        return value
    raise ValueError("the name of a column of lists, or a list of names of columns of numbers")


class Columns(Section):
    """Which columns of a source hold what."""

    text: list[str] | None = Field(None, description="one text column, or two for a pair (query, passage)")
    features: Annotated[str | list[str] | None, BeforeValidator(_features)] = Field(
        None, description="a column of equally long lists of numbers (image, vector), or columns of one number each"
    )
    image: str | None = Field(
        None, description="a column of encoded images (PNG, JPEG, ...) or of their paths, relative to the file's folder"
    )
    label: str = Field("label", description="class: an integer from 0, or a name; none, null or -1 where unknown")
    id: str | None = Field(None, description="a column of unique integers; default: ids are given by raykd")
    group: str | None = Field(
        None,
        description="a column that names each row's question: its rows stay in one split, test rows of one are ranked",
    )
    external: dict[ArtefactName, Annotated[ExternalColumn, BeforeValidator(_named_column)]] = Field(
        default_factory=dict, description="external teachers by name: their column of probabilities, or column and kind"
    )


class ImageConfig(Section):
    """What images become: numbers 0 to 255, row by row, the channels of a pixel side by side."""

    height: int = Field(28, ge=1, description="pixels; larger and smaller images are resized")
    width: int = Field(28, ge=1, description="pixels")
    channels: Literal[1, 3] = Field(1, description="1: grey, 3: RGB")

    @property
    def numbers(self) -> int:
        """Numbers of an image."""
        return self.height * self.width * self.channels


class DataConfig(Section):
    """Where examples come from and how they are split and fed."""

    source: str = Field(
        "docsqa",
        description="docsqa, digits, or a path, glob or URI (s3://, gs://): a file, a folder of <split> files, "
        "or of images in a folder per class",
    )
    format: Literal["auto"] | Format = Field("auto", description="of the files; auto: by their endings")
    columns: Columns = Field(default_factory=Columns)
    image: ImageConfig = Field(default_factory=ImageConfig)
    classes: Annotated[int | list[str] | None, BeforeValidator(_classes)] = Field(
        None, description="how many classes, or their names in order; default: those found"
    )
    allow_missing_classes: bool = Field(False, description="go on where a class has no example")
    max_bad_fraction: float = Field(
        0.0, ge=0, lt=1, description="share of rows that may be bad; those go to quarantine/ with the reason"
    )
    max_length: int = Field(64, ge=8, description="tokens of an encoded text or pair; longer ones are truncated")
    truncation: Literal["longest_first", "only_second"] = Field(
        "longest_first",
        description="what of a pair is cut: tokens of the longer text first, or only the passage, so that the query "
        "stays whole; a query that leaves no room for the passage is cut like a text alone",
    )
    tokenizer: str | None = Field(
        None,
        description="folder or KerasHub preset whose tokenizer encodes texts; default: that of the pretrained models, "
        "or one trained on the data",
    )
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
    stratify: bool = Field(True, description="hold out the same share of every class")
    shard_rows: int = Field(4096, ge=1, description="most rows in one Parquet shard")
    bucket: int = Field(16, ge=1, description="token batches are padded to a multiple of it; each width compiles once")
    streams: int = Field(8, ge=1, description="parallel row streams; batch sizes are multiples of it")
    read_tasks: int = Field(1, ge=0, description="Ray Data tasks that read for one worker; 0: read in its own process")
    prefetch: int = Field(8, ge=0, description="batches prepared ahead of the step that reads them")
    cache: Cache = Field("auto", description="keep read rows in memory; auto: where a worker's part is 256 MiB or less")
