"""Settings of what runs side by side."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from raykd.config.section import Section

Workers = Annotated[int, Field(ge=0)] | tuple[int, int]


class ScalingConfig(Section):
    """How much runs side by side."""

    workers: Workers = Field(
        0, description="processes of one training, or [least, most] for as many as there is room for; 0: the lane's own"
    )
    strategy: Literal["one_device", "mirrored", "multi_worker_mirrored", "parameter_server"] = Field(
        "multi_worker_mirrored",
        description="of tf.distribute; without workers multi_worker_mirrored is one_device; parameter_server updates "
        "asynchronously, and never gives the same weights twice",
    )
    parameter_servers: int = Field(1, ge=1, description="processes that hold the weights, with parameter_server")
    cpus_per_worker: int = Field(1, ge=1, description="cores of each worker")
    gpus_per_worker: int = Field(0, ge=0, description="accelerators of each worker")
    lanes: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="trainings side by side; auto: as the CPUs allow"
    )
    shared_storage: bool = Field(
        False, description="a local storage_path is a folder that every machine of the cluster has mounted (NFS)"
    )
    profile: bool = Field(
        False, description="write where each training's time goes to profile/: what `raykd run --profile` sets"
    )
    max_failures: int = Field(
        3,
        ge=0,
        description="how often a lane or a training's workers are replaced, in all; a lane lost with its node isn't "
        "counted, and a node's loss is not the last failure of workers that have made steps",
    )

    @model_validator(mode="after")
    def _workers_fit_strategy(self) -> "ScalingConfig":
        if self.strategy in ("one_device", "mirrored") and self.most_workers > 1:
            raise ValueError(f"at most 1 worker with strategy {self.strategy}; multi_worker_mirrored takes more")
        if self.strategy == "parameter_server" and not (isinstance(self.workers, int) and self.workers):
            raise ValueError(f"a number of workers, 1 or more, with strategy parameter_server; found {self.workers}")
        if self.profile and self.strategy == "parameter_server":
            raise ValueError("profile doesn't see what workers of strategy parameter_server do; leave it out")
        if isinstance(self.workers, tuple) and not 1 <= self.workers[0] <= self.workers[1]:
            raise ValueError(f"workers of the form [least, most] with 1 <= least <= most; found {list(self.workers)}")
        return self

    @property
    def most_workers(self) -> int:
        """Workers of one training, where there is room."""
        return self.workers if isinstance(self.workers, int) else self.workers[1]

    @property
    def least_workers(self) -> int:
        """Workers that one training needs."""
        return self.workers if isinstance(self.workers, int) else self.workers[0]
