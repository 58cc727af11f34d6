"""The benchmark of launching: what is waited for. Processes that import TensorFlow take long: the whole is slow."""

import pytest

from raykd.bench import launch


def test_medians_by_case() -> None:
    assert launch.medians({"import raykd": [0.2, 0.1, 0.9]}) == {"import raykd": 0.2}


def test_commands_are_run() -> None:
    assert launch.command("pass") > 0


@pytest.mark.slow
def test_everything_is_waited_for(local_ray: None) -> None:
    shown: list[str] = []
    size = launch.Size(layers=1, width=32, batch_size=16, jit_compile=False, repeats=1)
    seconds = launch.measure(size, (1,), lambda case, value: shown.append(case))
    assert shown == [f"{case}, repeat 1 of 1" for case in seconds]
    assert list(seconds) == [
        "raykd --help", "import raykd", "Ray started and ended", "a lane, first step", "a warm lane, first step",
        "1 worker, first step",
    ]  # fmt: skip
    found = launch.medians(seconds)
    assert min(found.values()) > 0
    assert found["a warm lane, first step"] < found["a lane, first step"]
