"""Settings of models, by type."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from raykd.config.section import Fraction, Section

_WIDTH_PER_HEAD = 32


class CrossEncoderConfig(Section):
    """A transformer that reads both texts of a pair at once (or one text)."""

    type: Literal["cross_encoder"]
    layers: int = Field(2, ge=1)
    width: int = Field(128, ge=8)
    heads: int | None = Field(None, ge=1, description="default: one per 32 of width")
    dropout: Fraction = 0.1
    stochastic_depth: float = Field(
        0.0, ge=0, lt=1, description="chance that training skips the last block's branches; rises to it evenly"
    )

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "CrossEncoderConfig":
        if self.heads and self.width % self.heads:
            raise ValueError(f"a width that is a multiple of heads; {self.width} is none of {self.heads}")
        return self

    @property
    def attention_heads(self) -> int:
        """Heads as asked for, or the default."""
        return self.heads or max(1, self.width // _WIDTH_PER_HEAD)


class BiEncoderConfig(Section):
    """Encodes query and passage apart with one transformer and compares the two vectors."""

    type: Literal["bi_encoder"]
    layers: int = Field(1, ge=1)
    width: int = Field(128, ge=8)
    dropout: Fraction = 0.1

    @property
    def attention_heads(self) -> int:
        """One per 32 of width."""
        return max(1, self.width // _WIDTH_PER_HEAD)


class BiLSTMConfig(Section):
    """A bidirectional LSTM over the encoded text, max-pooled."""

    type: Literal["bilstm"]
    layers: int = Field(1, ge=1)
    width: int = Field(64, ge=4, description="embedding width and units of each direction")
    dropout: Fraction = 0.1


class PretrainedConfig(Section):
    """A pretrained transformer that KerasHub loads (BERT, RoBERTa, DistilBERT, DeBERTa, ...); it reads tokens.

    It starts from its pretrained weights, and a classification head from random ones.
    """

    type: Literal["pretrained"]
    preset: str = Field(
        description="a folder in the KerasHub or Hugging Face format, or a KerasHub preset such as bert_base_en_uncased"
    )
    layers: Annotated[int, Field(ge=1)] | Literal["every_other"] | tuple[Annotated[int, Field(ge=0)], ...] | None = (
        Field(
            None,
            description="of the preset's: a number of them from the bottom, every_other (0, 2, ...) or their numbers, "
            "bottom first, such as [0, 3]; default: all",
        )
    )
    dropout: Fraction = 0.1

    @field_validator("layers", mode="before")
    @classmethod
    def _names_layers(cls, value: Any) -> Any:
        some = isinstance(value, list | tuple) and value and all(type(one) is int and one >= 0 for one in value)
        if not (value is None or value == "every_other" or (type(value) is int and value > 0) or some):
            raise ValueError("a number of layers, every_other, a list of layer numbers such as [0, 3], or null for all")
        return value


class SavedConfig(Section):
    """A Keras model of the user's own, trained and saved as `.keras`: a ready teacher, which is only scored.

    It reads the examples as they are stored: token ids, or numbers (uint8 as 0 to 255, unscaled); it gives one number
    per class.
    """

    type: Literal["saved"]
    path: str = Field(description="of the file that `model.save` wrote; loaded in Keras's safe mode")
    outputs: Literal["logits", "probabilities"] = Field(
        description="what its last layer gives: probabilities after a softmax, else logits; never guessed"
    )


class MLPConfig(Section):
    """Dense layers over a feature vector."""

    type: Literal["mlp"]
    hidden: list[Annotated[int, Field(ge=1)]] = Field(default_factory=lambda: [256, 256])
    dropout: Fraction = 0.0
    input_dropout: Fraction = 0.0


class CNNConfig(Section):
    """A small convolutional net over square images, grey or RGB."""

    type: Literal["cnn"]
    filters: list[Annotated[int, Field(ge=1)]] = Field(default_factory=lambda: [32, 64])
    width: int = Field(64, ge=1, description="units of the dense layer before the head")
    dropout: Fraction = 0.0


class CustomModelConfig(Section):
    """A function of the user's own, `package.module:function`, that builds the body."""

    type: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    options: dict[str, Any] = Field(default_factory=dict, description="keyword arguments for the function")


MODEL_TYPES: dict[str, type[Section]] = {
    "cross_encoder": CrossEncoderConfig,
    "bi_encoder": BiEncoderConfig,
    "bilstm": BiLSTMConfig,
    "mlp": MLPConfig,
    "cnn": CNNConfig,
    "pretrained": PretrainedConfig,
    "saved": SavedConfig,
}


def _model_tag(value: Any) -> str | None:
    name = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    if isinstance(name, str) and ":" in name:
        return "custom"
    return name if isinstance(name, str) and name in MODEL_TYPES else None


ModelConfig = Annotated[
    Annotated[CrossEncoderConfig, Tag("cross_encoder")]
    | Annotated[BiEncoderConfig, Tag("bi_encoder")]
    | Annotated[BiLSTMConfig, Tag("bilstm")]
    | Annotated[MLPConfig, Tag("mlp")]
    | Annotated[CNNConfig, Tag("cnn")]
    | Annotated[PretrainedConfig, Tag("pretrained")]
    | Annotated[SavedConfig, Tag("saved")]
    | Annotated[CustomModelConfig, Tag("custom")],
    Discriminator(_model_tag),
]
