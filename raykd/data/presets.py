"""Presets: pretrained models by folder or by KerasHub name, their files, their content and their tokenizers.

Readers: the plan, whose steps depend on a preset's content; ingestion, which encodes with its tokenizer; models, which
load its weights. A folder needs no TensorFlow here; a name does, as KerasHub downloads its files.
"""

import json
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from raykd.artifacts import fingerprint
from raykd.config import Config, ModelConfig, PretrainedConfig, SavedConfig
from raykd.data.content import content_of
from raykd.data.encoding import bert_tokenizer
from raykd.errors import InputError

_VOCABULARIES = ("assets/tokenizer/vocabulary.txt", "vocab.txt")  # WordPiece: KerasHub's, Hugging Face's
_PAIRS = (("assets/tokenizer/vocabulary.json", "assets/tokenizer/merges.txt"), ("vocab.json", "merges.txt"))  # BPE
_PADDING, _UNKNOWN = ("[PAD]", "<pad>"), ("[UNK]", "<unk>")


def hub() -> ModuleType:
    """KerasHub. Raises: InputError where it is not installed."""
    try:
        import keras_hub
    except ImportError as error:
        raise _no_hub(f"found none that loads ({error})") from error
    return keras_hub  # type: ignore[no-any-return]


def _no_hub(found: str) -> InputError:
    return InputError(f"model.type: pretrained needs KerasHub, but {found}; pip install 'raykd[hub]'")


def location(preset: str) -> str:
    """What KerasHub loads: a folder's path with `~` resolved, or the name as it is.

    Raises: InputError for a path that leads to no folder.
    """
    path = Path(preset).expanduser()
    if path.is_dir():
        return str(path.absolute())
    if "://" not in preset and (path.is_absolute() or preset.startswith(("~", ".")) or "/" in preset):
        raise InputError(
            f"preset {preset}: no such folder; expected one in the KerasHub or Hugging Face format (config.json, "
            "weights, tokenizer) or the name of a KerasHub preset"
        )
    return preset


def content(preset: str) -> Any:
    """What changes when a folder's files do; of a name nothing more than that."""
    folder = Path(location(preset))
    if not folder.is_dir():
        return preset
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return content_of({str(path.relative_to(folder)): path for path in files})


def contents(models: Sequence[ModelConfig]) -> list[Any]:
    """The content of these models' presets and files, in order; none for models that are drawn at random.

    Raises: InputError where a file, a folder or KerasHub is missing: before anything runs.
    """
    found: list[Any] = []
    for model in models:
        if isinstance(model, SavedConfig):
            found.append(content_of({"": saved_file(model.path)}))
        elif isinstance(model, PretrainedConfig):
            if find_spec("keras_hub") is None:
                raise _no_hub("it is not installed")
            found.append(content(model.preset))
    return found


def saved_file(path: str) -> Path:
    """A saved model's file. Raises: InputError where there is none."""
    found = Path(path).expanduser()
    if not found.is_file():
        raise InputError(f"model.path: {path}: no such file; expected a model that Keras saved as .keras")
    return found


def tokenizer_preset(config: Config) -> str | None:
    """The preset whose tokenizer encodes the job's texts; None: one is trained on the data.

    Raises: InputError when the job's pretrained models were trained with different vocabularies, or with another one
    than that of `data.tokenizer`.
    """
    wanted = [] if config.data.tokenizer is None else [config.data.tokenizer]
    presets = dict.fromkeys([*wanted, *(model.preset for model in _pretrained(config))])
    if not presets:
        return None
    first, *others = presets
    known = load_tokenizer(first).get_vocab() if others else {}
    for other in others:
        if _vocabulary(other, known) != known:
            raise InputError(
                f"data.tokenizer: found presets with different vocabularies, {first} and {other}, expected one: texts "
                "are encoded once for all models; choose presets that share a tokenizer"
            )
    return first


def _vocabulary(preset: str, otherwise: dict[str, int]) -> dict[str, int]:
    """Of a preset's tokenizer; `otherwise` where none can be made of it, and `data.tokenizer` stands in."""
    try:
        return dict(load_tokenizer(preset).get_vocab())
    except InputError:
        return otherwise


def _pretrained(config: Config) -> Iterator[PretrainedConfig]:
    """The job's pretrained models."""
    models = [*(teacher.model for teacher in config.teachers), config.student.model, *(config.sweep.student or ())]
    if config.distill.noisy_student.model is not None:
        models.append(config.distill.noisy_student.model)
    yield from (model for model in models if isinstance(model, PretrainedConfig))


def tokenizer_fingerprint(preset: str) -> str:
    """Changes with the encoding of any text."""
    return fingerprint(load_tokenizer(preset).to_str())


def load_tokenizer(preset: str) -> Tokenizer:
    """The tokenizer of a preset, without padding and truncation: `tokenizer.json`, or made of its vocabulary.

    Raises: InputError where there is none that the package tokenizers can make.
    """
    told = _read(preset, "tokenizer.json")
    settings = json.loads(told) if told is not None else {}
    if told is not None and "model" in settings:
        tokenizer = _parsed(preset, told)
    elif (words := _first(preset, _VOCABULARIES)) is not None:
        tokenizer = _word_piece(preset, words.splitlines(), _lowercase(preset, settings))
    elif (pair := next(filter(all, ([_read(preset, name) for name in names] for names in _PAIRS)), None)) is not None:
        tokenizer = _byte_pair(json.loads(str(pair[0])), str(pair[1]))
    else:
        kind = settings.get("class_name", "no tokenizer.json")
        raise InputError(
            f"preset {preset}: found {kind}, expected a tokenizer.json of Hugging Face's tokenizers, or a vocabulary "
            "of WordPiece or byte-pair pieces; save it as tokenizer.json into a folder and set data.tokenizer"
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def special_ids(tokenizer: Tokenizer, preset: str) -> dict[str, int]:
    """Ids of padding, unknown words and both ends, as `InputSpec` names them.

    Raises: InputError for a tokenizer without one of them, such as that of a generator of texts.
    """
    ends = tokenizer.encode("", "").ids
    pad, unk = (_id_of(tokenizer, words) for words in (_PADDING, _UNKNOWN))
    if len(ends) < 3 or pad is None or unk is None:
        raise InputError(
            f"preset {preset}: its tokenizer puts {len(ends)} special tokens around a pair and knows padding as {pad} "
            f"and unknown words as {unk}; expected an encoder's, such as BERT's or RoBERTa's; choose another preset"
        )
    return {"pad_id": pad, "unk_id": unk, "cls_id": ends[0], "sep_id": ends[-1]}


def _id_of(tokenizer: Tokenizer, words: Sequence[str]) -> int | None:
    """Of the first of these that it knows."""
    return next((number for word in words if (number := tokenizer.token_to_id(word)) is not None), None)


def _read(preset: str, name: str) -> str | None:
    """A text file of a preset; None where it has none."""
    place = location(preset)
    if Path(place).is_dir():
        file = Path(place) / name
        return file.read_text(encoding="utf-8") if file.is_file() else None
    hub()
    from keras_hub.src.utils.preset_utils import get_file  # It tells no other way to a single file.

    try:
        return Path(get_file(place, name)).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (ValueError, ImportError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"preset {preset}: no folder, and KerasHub can't fetch it ({reason}); name a folder or a KerasHub preset"
        ) from error


def _first(preset: str, names: Sequence[str]) -> str | None:
    return next((found for name in names if (found := _read(preset, name)) is not None), None)


def _parsed(preset: str, told: str) -> Tokenizer:
    try:
        return Tokenizer.from_str(told)
    except Exception as error:  # tokenizers raises nothing narrower.
        raise InputError(f"preset {preset}: tokenizer.json: {error}; save it again") from error


def _lowercase(preset: str, settings: dict[str, Any]) -> bool:
    if "config" in settings:
        return bool(settings["config"].get("lowercase", False))
    told = _read(preset, "tokenizer_config.json")
    return bool(json.loads(told).get("do_lower_case", True)) if told is not None else True


def _word_piece(preset: str, words: Sequence[str], lowercase: bool) -> Tokenizer:
    numbers = {word: number for number, word in enumerate(words)}
    ends = [(name, numbers.get(name)) for name in ("[CLS]", "[SEP]")]
    if missing := [name for name in ("[UNK]", "[PAD]", "[CLS]", "[SEP]") if name not in numbers]:
        raise InputError(f"preset {preset}: its vocabulary has no {missing[0]}; expected BERT's special tokens")
    tokenizer = bert_tokenizer(models.WordPiece(numbers, unk_token="[UNK]"), lowercase=lowercase)
    tokenizer.add_special_tokens([name for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if name in numbers])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    return tokenizer


def _byte_pair(numbers: dict[str, int], merges: str) -> Tokenizer:
    """RoBERTa's."""
    lines = (line.partition(" ") for line in merges.splitlines() if line and not line.startswith("#version"))
    tokenizer = Tokenizer(models.BPE(numbers, [(first, second) for first, _, second in lines]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [name for name in ("<s>", "<pad>", "</s>", "<unk>", "<mask>") if name in numbers]
    tokenizer.add_special_tokens(special)
    if {"<s>", "</s>"} <= numbers.keys():
        end, start = (("</s>", numbers["</s>"]), ("<s>", numbers["<s>"]))
        tokenizer.post_processor = processors.RobertaProcessing(end, start, True, False)
    return tokenizer
