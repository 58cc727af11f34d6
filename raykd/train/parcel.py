"""Work for Ray Train's workers that its controller passes on without opening it."""

from collections.abc import Callable
from dataclasses import dataclass

from ray import cloudpickle


@dataclass(frozen=True)
class Parcel:
    """Calls what is in it, where it is called: the controller, a process of its own, needn't load TensorFlow for it."""

    content: bytes

    @classmethod
    def of(cls, work: Callable[[], None]) -> "Parcel":
        """Pack it."""
        return cls(cloudpickle.dumps(work))

    def __call__(self) -> None:
        """Open it and do the work."""
        cloudpickle.loads(self.content)()
