"""TFRecord files of `tf.train.Example`, read without TensorFlow, which would take each task seconds to load.

Format: per record its length (uint64), a checksum of that, the bytes, a checksum of those; little-endian.
Source: tensorflow/core/lib/io/record_writer.h and tensorflow/core/example/{example,feature}.proto.
"""

import struct
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import DecodeError
from pyarrow import fs

from raykd.config import DataConfig
from raykd.data.sources.files import SourceFile
from raykd.data.sources.pieces import IDS_PER_FILE, Chunk, Piece, Unread
from raykd.data.sources.records import Record, chunks_of, kinds_of
from raykd.errors import InputError

_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
_MASK = 0xA282EAD8
_LARGEST = 1 << 31  # bytes of a record; protobuf takes no more


def pieces(filesystem: fs.FileSystem, files: Sequence[SourceFile], data: DataConfig, labelled: bool) -> list[Piece]:
    """One per file."""
    return [
        Piece((file.path,), file.split, number, first_id=number * IDS_PER_FILE) for number, file in enumerate(files)
    ]


def chunks(filesystem: fs.FileSystem, piece: Piece, data: DataConfig, labelled: bool) -> Iterator[Chunk]:
    """The rows of a file."""
    return chunks_of(_records(filesystem, piece.files[0], kinds_of(data)), piece, data, labelled)


def _records(filesystem: fs.FileSystem, path: str, kinds: dict[str, str]) -> Iterator[Record]:
    for row, content in enumerate(_contents(filesystem, path)):
        example = _example_type()()
        try:
            example.ParseFromString(content)
            yield {name: _value(feature, kinds.get(name)) for name, feature in example.features.feature.items()}
        except (DecodeError, UnicodeDecodeError) as error:
            yield Unread(row, f"not a tf.train.Example with UTF-8 texts ({error}); fix the row")


def _contents(filesystem: fs.FileSystem, path: str) -> Iterator[bytes]:
    """The bytes of each record. Raises: InputError where the file is cut off, or no TFRecord file."""
    try:
        with filesystem.open_input_stream(path) as stream:
            row = 0
            while header := stream.read(12):
                length, checksum = struct.unpack("<QI", header) if len(header) == 12 else (0, -1)
                if checksum != masked_crc(header[:8]) or length > _LARGEST:
                    raise InputError(f"{path}, row {row}: not a TFRecord's length and checksum; write the file again")
                content, tail = stream.read(length), stream.read(4)
                if len(content) < length or len(tail) < 4:
                    raise InputError(
                        f"{path}, row {row}: the file ends after {len(content)} of {length} bytes of a record; write "
                        "it again"
                    )
                yield content
                row += 1
    except OSError as error:
        raise InputError(f"{path}: can't be read ({' '.join(str(error).split())}); write it again") from error


def _value(feature: Any, kind: str | None) -> Any:
    """A feature as the configuration uses it: a value where it asks for one, else a list."""
    which = feature.WhichOneof("kind")
    values = list(getattr(feature, which).value) if which else []
    if which == "bytes_list" and kind not in (None, "image"):
        values = [value.decode() for value in values]
    if kind in ("numbers", None):
        return values or None
    return values if len(values) > 1 else next(iter(values), None)


def masked_crc(content: bytes) -> int:
    """TFRecord's checksum of a few bytes."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _table()[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF


@cache
def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


@cache
def _example_type() -> Any:
    """The message class of `tf.train.Example`, in a pool of its own: TensorFlow's may hold another description."""
    pool = descriptor_pool.DescriptorPool()
    file = text_format.Parse(_DESCRIPTION, descriptor_pb2.FileDescriptorProto())
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("raykd.Example"))


_DESCRIPTION = """
name: "raykd/example.proto" package: "raykd" syntax: "proto3"
message_type { name: "BytesList" field { name: "value" number: 1 type: TYPE_BYTES label: LABEL_REPEATED } }
message_type { name: "FloatList" field { name: "value" number: 1 type: TYPE_FLOAT label: LABEL_REPEATED } }
message_type { name: "Int64List" field { name: "value" number: 1 type: TYPE_INT64 label: LABEL_REPEATED } }
message_type {
  name: "Feature"
  oneof_decl { name: "kind" }
  field { name: "bytes_list" number: 1 type: TYPE_MESSAGE type_name: ".raykd.BytesList" oneof_index: 0 }
  field { name: "float_list" number: 2 type: TYPE_MESSAGE type_name: ".raykd.FloatList" oneof_index: 0 }
  field { name: "int64_list" number: 3 type: TYPE_MESSAGE type_name: ".raykd.Int64List" oneof_index: 0 }
}
message_type {
  name: "Features"
  field { name: "feature" number: 1 type: TYPE_MESSAGE type_name: ".raykd.Features.FeatureEntry" label: LABEL_REPEATED }
  nested_type {
    name: "FeatureEntry"
    options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "value" number: 2 type: TYPE_MESSAGE type_name: ".raykd.Feature" label: LABEL_OPTIONAL }
  }
}
message_type {
  name: "Example"
  field { name: "features" number: 1 type: TYPE_MESSAGE type_name: ".raykd.Features" label: LABEL_OPTIONAL }
}
"""
