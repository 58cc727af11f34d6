"""The configuration of a whole job: checked once here, frozen, and read by every other module.

Every field states its meaning, unit and default. YAML comes in through `raykd.loading`.
"""

from raykd.config.data import BUILT_IN_SOURCES, Cache, Columns, DataConfig, ExternalColumn, Format, ImageConfig
from raykd.config.distill import DistillConfig, HiddenConfig, NoisyStudentConfig, SoftLoss, Space, Weighting
from raykd.config.export import ExportConfig, ExportFormat
from raykd.config.job import Config
from raykd.config.models import (
    MODEL_TYPES,
    BiEncoderConfig,
    BiLSTMConfig,
    CNNConfig,
    CrossEncoderConfig,
    CustomModelConfig,
    MLPConfig,
    ModelConfig,
    PretrainedConfig,
    SavedConfig,
)
from raykd.config.scaling import ScalingConfig
from raykd.config.section import RecipeName, Section
from raykd.config.sweep import Range, SweepConfig
from raykd.config.training import (
    AugmentConfig,
    Stage1Config,
    Stage2Config,
    StudentConfig,
    TeacherConfig,
    TrainingConfig,
)

__all__ = [
    "BUILT_IN_SOURCES",
    "MODEL_TYPES",
    "AugmentConfig",
    "BiEncoderConfig",
    "BiLSTMConfig",
    "CNNConfig",
    "Cache",
    "Columns",
    "Config",
    "CrossEncoderConfig",
    "CustomModelConfig",
    "DataConfig",
    "DistillConfig",
    "ExportConfig",
    "ExportFormat",
    "ExternalColumn",
    "Format",
    "HiddenConfig",
    "ImageConfig",
    "MLPConfig",
    "ModelConfig",
    "NoisyStudentConfig",
    "PretrainedConfig",
    "Range",
    "RecipeName",
    "SavedConfig",
    "ScalingConfig",
    "Section",
    "SoftLoss",
    "Space",
    "Stage1Config",
    "Stage2Config",
    "StudentConfig",
    "SweepConfig",
    "TeacherConfig",
    "TrainingConfig",
    "Weighting",
]
