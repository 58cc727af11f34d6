"""A whole job: the sections together, and what must hold between them."""

from pydantic import Field, model_validator

from raykd.config.checks import check
from raykd.config.data import DataConfig
from raykd.config.distill import DistillConfig
from raykd.config.export import ExportConfig
from raykd.config.scaling import ScalingConfig
from raykd.config.section import ArtefactName, Section
from raykd.config.sweep import SweepConfig
from raykd.config.training import StudentConfig, TeacherConfig, TrainingConfig


class Config(Section):
    """A whole job."""

    name: ArtefactName = Field("docsqa", description="name of the run; its directory is <storage_path>/<name>")
    seed: int = Field(0, ge=0, description="seed of the split, the weights, dropout and row order")
    storage_path: str = Field("~/raykd_results", description="folder or pyarrow filesystem URI")
    data: DataConfig = Field(default_factory=DataConfig)
    teachers: list[TeacherConfig] = Field(
        default_factory=list, description="teachers to train; none where data.columns.external names one"
    )
    student: StudentConfig
    distill: DistillConfig = Field(default_factory=DistillConfig)
    sweep: SweepConfig = Field(default_factory=SweepConfig)
    scaling: ScalingConfig = Field(default_factory=ScalingConfig)
    export: ExportConfig = Field(default_factory=ExportConfig)

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        check(self)
        return self

    @property
    def external(self) -> list[str]:
        """Names of the teachers that come as a column of the data."""
        return list(self.data.columns.external)

    @property
    def teacher_names(self) -> list[str]:
        """Names of the teachers that students learn from, the trained ones first: the order of a student's heads."""
        return [*(teacher.name for teacher in self.teachers), *(self.external if self.distill.external else ())]

    def teacher(self, name: str) -> TeacherConfig:
        """The trained teacher of this name."""
        return next(teacher for teacher in self.teachers if teacher.name == name)

    def trainings(self) -> dict[str, TrainingConfig]:
        """Every training section by its dotted key; that of rounds where the recipe is asked for."""
        return {
            **{f"teachers.{teacher.name}.training": teacher.training for teacher in self.teachers},
            "student.training": self.student.training,
            "distill.stage1": self.distill.stage1,
            "distill.stage2": self.distill.stage2,
            **({"distill.noisy_student.training": self.distill.noisy_student.training} if self.has_rounds else {}),
        }

    @property
    def has_rounds(self) -> bool:
        """Whether rounds of Noisy Student are asked for."""
        return "noisy_student" in self.distill.recipes
