"""What a student can take over from a teacher, told from their configurations alone: blocks, hidden states, attention.

Readers: the configuration's own check, which turns a ValueError into one line, and the training runs. A model here is
a section of `raykd.config`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

_IN_BLOCKS = ("cross_encoder", "bi_encoder", "bilstm", "pretrained")  # also those with a state for each token
_BEST_FIRST = ("paired", "best")


def blocks_of(initialise: str | Sequence[int], student: Any) -> tuple[int, ...]:
    """The numbers of the teacher's blocks that make up a student of this model, bottom first; none for `random`.

    Source: Sanh et al. 2019, section 3 (one layer out of two); Yang et al. 2020, section 4.3 (the bottom ones).
    """
    if initialise == "random":
        return ()
    if initialise == "first":
        return tuple(range(_depth(student) or 0))
    if initialise == "every_other":
        return tuple(range(0, 2 * (_depth(student) or 0), 2))
    return tuple(int(block) for block in initialise)


def teacher_names(initialise_from: str, fed_by: Sequence[str], teachers: Sequence[str]) -> tuple[str, ...]:
    """The teachers of which one gives its blocks: the named or the paired one, or all, for the best of them."""
    if initialise_from not in _BEST_FIRST:
        return (initialise_from,)
    return tuple(fed_by) if initialise_from == "paired" and len(fed_by) == 1 else tuple(teachers)


def check_initialise(
    initialise: str | Sequence[int], initialise_from: str, student: Any, teachers: Mapping[str, Any]
) -> None:
    """Raise ValueError where a teacher that may give its blocks has none that fit the student."""
    if initialise == "random":
        if teachers:
            _check_known(initialise_from, teachers)
        return
    if not teachers:
        raise ValueError(
            f"student.initialise: found {_shown(initialise)} with external teachers alone, which have no blocks to "
            "give; choose random or add a teacher"
        )
    _check_known(initialise_from, teachers)
    if ambiguous := set(_BEST_FIRST) & set(teachers):
        raise ValueError(
            f"teachers: the name {min(ambiguous)} means something else in student.initialise_from; rename the teacher"
        )
    if student.type not in _IN_BLOCKS:
        raise ValueError(
            f"student.initialise: found {_shown(initialise)} for a student of type {student.type}, expected one of "
            f"{', '.join(_IN_BLOCKS)}; choose random"
        )
    blocks, depth = blocks_of(initialise, student), _depth(student)
    if depth is None:
        raise ValueError(
            f"student.initialise: found {_shown(initialise)} for a student with layers {student.layers}, expected "
            "their number, which the preset alone tells; set student.model.layers"
        )
    if len(blocks) != depth:
        raise ValueError(
            f"student.initialise: found {len(blocks)} blocks {_shown(initialise)}, expected one for each of the "
            f"student's {depth} layers; change either"
        )
    if student.type == "bilstm" and any((block == 0) != (place == 0) for place, block in enumerate(blocks)):
        raise ValueError(
            f"student.initialise: found {_shown(initialise)}, expected block 0 at the bottom and nowhere else: the "
            "lowest layer of a bilstm reads embeddings, the others read both directions; choose first"
        )
    for name in teacher_names(initialise_from, (), tuple(teachers)):
        _check_fit(_shown(initialise), blocks, student, name, teachers[name])


def _check_known(initialise_from: str, teachers: Mapping[str, Any]) -> None:
    if initialise_from not in (*_BEST_FIRST, *teachers):
        raise ValueError(
            f"student.initialise_from: found {initialise_from}, expected {', '.join(_BEST_FIRST)} or a teacher's name: "
            f"{', '.join(teachers)}"
        )


def _check_fit(shown: str, blocks: Sequence[int], student: Any, name: str, teacher: Any) -> None:
    wanted, found = _shape(student), _shape(teacher)
    if wanted != found:
        raise ValueError(
            f"student.initialise: {shown} from teacher {name}: found {_listed(found)}, expected the student's "
            f"{_listed(wanted)}; change either, name another teacher in student.initialise_from, or choose random"
        )
    if (depth := _depth(teacher)) is not None and max(blocks) >= depth:
        raise ValueError(
            f"student.initialise: {shown} reads block {max(blocks)} of teacher {name}, which has {depth} "
            f"(0 to {depth - 1}); give the teacher more layers or the student fewer, or choose first"
        )


def check_hidden(loss: str, strategy: str, student: Any, teachers: Mapping[str, Any]) -> None:
    """Raise ValueError where the student's hidden states can't be compared with each teacher's."""
    if loss == "none":
        return
    if strategy == "parameter_server":
        raise ValueError(
            f"distill.hidden.loss: found {loss} with scaling.strategy parameter_server, which would send the teachers' "
            "weights at every step; choose another strategy or none"
        )
    for name, teacher in teachers.items():
        if loss == "attention_relation":
            _check_attention(student, name, teacher)
        elif (student.type in _IN_BLOCKS) != (teacher.type in _IN_BLOCKS):
            raise ValueError(
                f"distill.hidden.loss: {loss}: found a student of type {student.type} and teacher {name} of type "
                f"{teacher.type}, expected both or neither of {', '.join(_IN_BLOCKS)}: states of tokens can't be "
                "compared with one vector; choose other models or none"
            )


def _check_attention(student: Any, name: str, teacher: Any) -> None:
    expected = "cross_encoders with the same number of heads"
    types = {student.type, teacher.type}
    if types != {"cross_encoder"}:
        raise ValueError(
            f"distill.hidden.loss: attention_relation: found a student of type {student.type} and teacher {name} of "
            f"type {teacher.type}, expected {expected}; choose cosine, mse or none"
        )
    if student.attention_heads != teacher.attention_heads:
        raise ValueError(
            f"distill.hidden.loss: attention_relation: found heads {student.attention_heads} in the student and "
            f"{teacher.attention_heads} in teacher {name}, expected {expected}; set model.heads of either"
        )


def _depth(model: Any) -> int | None:
    """Layers of a model; None where only its preset tells."""
    layers = model.layers
    return layers if isinstance(layers, int) else len(layers) if isinstance(layers, list | tuple) else None


def _shape(model: Any) -> dict[str, Any]:
    """What two models must have in common for one to take over the other's blocks."""
    shape = {name: getattr(model, name, None) for name in ("type", "width", "preset")}
    return {**shape, "heads": model.attention_heads} if model.type == "cross_encoder" else shape


def _listed(shape: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in shape.items() if value is not None)


def _shown(initialise: str | Sequence[int]) -> str:
    return initialise if isinstance(initialise, str) else str(list(initialise))
