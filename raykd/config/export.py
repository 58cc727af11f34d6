"""Settings of the export: which model, in which formats, under which licence."""

from typing import Literal

from pydantic import Field, field_validator

from raykd.config.section import Section

ExportFormat = Literal["saved_model", "keras", "onnx", "litert"]


class ExportConfig(Section):
    """What a run leaves behind to serve, at its end; `raykd export` does it afterwards."""

    formats: list[ExportFormat] = Field(
        default_factory=list,
        description="saved_model: of TensorFlow; keras: a .keras file, which needs raykd's layers; "
        "onnx: for ONNX Runtime; litert: weights of 8 bits, for LiteRT; none: no export",
    )
    model: str | None = Field(
        None,
        description="name of a model or ensemble as the evaluation has it, such as student/many_on_one or "
        "ensemble/many_on_many; default: that of many_on_one, or the last recipe's",
    )
    licence: str | None = Field(
        None, description="of the exported model, for its card: an SPDX identifier such as apache-2.0"
    )

    @field_validator("formats")
    @classmethod
    def _each_once(cls, formats: list[ExportFormat]) -> list[ExportFormat]:
        if len(set(formats)) < len(formats):
            raise ValueError("each format once")
        return formats
