import numpy as np
import pytest

from raykd.data import docsqa
from raykd.data.encoding import (
    CLS_ID,
    PAD_ID,
    SEP_ID,
    UNK_ID,
    InputSpec,
    encode_rows,
    encode_texts,
    train_tokenizer,
)

TEXTS = ["the cat sat on the mat", "a dog sat on a log", "Cats and dogs, mats and logs."] * 5


def tokenizer_of(max_length=64, vocabulary=200):
    return train_tokenizer(TEXTS, vocabulary, max_length)


def tokens(tokenizer, ids):
    return [tokenizer.id_to_token(int(id_)) for id_ in ids]


def test_special_tokens_have_the_ids_the_models_rely_on():
    tokenizer = tokenizer_of()
    names = {"[PAD]": PAD_ID, "[UNK]": UNK_ID, "[CLS]": CLS_ID, "[SEP]": SEP_ID}
    assert list(names.values()) == [0, 1, 2, 3]
    assert {name: tokenizer.token_to_id(name) for name in names} == names


def test_a_text_stands_between_cls_and_sep():
    tokenizer = tokenizer_of()
    [ids] = encode_texts(tokenizer, [["The cat"]])
    assert ids.dtype == np.int32
    assert tokens(tokenizer, ids) == ["[CLS]", "the", "cat", "[SEP]"]


def test_a_pair_has_a_sep_after_each_text():
    tokenizer = tokenizer_of()
    [first, second] = encode_texts(tokenizer, [["the cat", "a"], ["sat", "dog sat"]])
    assert tokens(tokenizer, first) == ["[CLS]", "the", "cat", "[SEP]", "sat", "[SEP]"]
    assert tokens(tokenizer, second) == ["[CLS]", "a", "[SEP]", "dog", "sat", "[SEP]"]


def test_case_and_accents_do_not_count():
    tokenizer = tokenizer_of()
    plain, other = encode_texts(tokenizer, [["the cat", "THE Cát"]])
    assert plain.tolist() == other.tolist()


def test_an_unseen_character_is_unknown():
    tokenizer = tokenizer_of()
    assert encode_texts(tokenizer, [["cat Ж"]])[0].tolist()[2:] == [UNK_ID, SEP_ID]


@pytest.mark.parametrize("max_length", [8, 16])
def test_long_texts_are_cut_to_the_most_ids(max_length):
    tokenizer = tokenizer_of(max_length)
    short, long = encode_texts(tokenizer, [["cat", " ".join(TEXTS)]])
    assert len(short) == 3
    assert len(long) == max_length
    assert (long[0], long[-1]) == (CLS_ID, SEP_ID)
    tokenizer.no_truncation()
    [full] = encode_texts(tokenizer, [[" ".join(TEXTS)]])
    assert long[:-1].tolist() == full[: max_length - 1].tolist()


def test_a_long_passage_is_cut_and_not_its_short_query():
    tokenizer = tokenizer_of(max_length=12)
    [ids] = encode_texts(tokenizer, [["the cat sat"], [" ".join(TEXTS)]])
    assert len(ids) == 12
    assert tokens(tokenizer, ids)[:5] == ["[CLS]", "the", "cat", "sat", "[SEP]"]
    assert (ids == SEP_ID).sum() == 2
    assert ids[-1] == SEP_ID


def test_an_empty_text_is_cls_and_sep():
    assert encode_texts(tokenizer_of(), [[""]])[0].tolist() == [CLS_ID, SEP_ID]


def test_the_vocabulary_has_no_more_than_the_tokens_asked_for():
    texts = docsqa.docstrings_of(["numpy/_core/fromnumeric.py"])["passage"].to_pylist()
    tokenizer = train_tokenizer(texts, 400, 64)
    assert tokenizer.get_vocab_size() == 400
    assert max(ids.max() for ids in encode_texts(tokenizer, [texts])) < 400


@pytest.mark.parametrize("vocabulary", [200, 2000])
def test_the_same_texts_give_the_same_tokenizer(vocabulary):
    """Ids feed the embedding, so "same seed, same weights" needs them to be the same in every process."""
    texts = docsqa.docstrings_of(["numpy/_core/fromnumeric.py"])["passage"].to_pylist()
    first, second = (train_tokenizer(texts, vocabulary, 64).get_vocab() for _ in range(2))
    assert set(first) == set(second)
    assert first == second


@pytest.mark.parametrize(("longest", "expected"), [(1, 16), (16, 16), (17, 32), (48, 48), (49, 60), (60, 60)])
def test_width_is_a_multiple_of_the_bucket_and_at_most_the_length(longest, expected):
    assert InputSpec("tokens", 60, "int32", 100, bucket=16).width(longest) == expected


def test_rows_of_different_counts_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        encode_texts(tokenizer_of(), [["a", "b"], ["c"]])


def test_the_query_stays_whole_and_only_the_passage_is_cut():
    tokenizer = tokenizer_of()
    query, passage = "the cat sat on the mat", "a dog sat on a log and mats and logs"
    whole, cut = encode_rows(tokenizer, [[query], [passage]], "only_second", 64)
    assert cut == 0
    [ids], cut = encode_rows(tokenizer, [[query], [passage]], "only_second", 12)
    assert cut == 1
    # [CLS] 6 words [SEP], 3 of the passage, [SEP].
    assert ids.tolist() == [*whole[0][:11].tolist(), SEP_ID]
    [longest_first], _ = encode_rows(tokenizer, [[query], [passage]], "longest_first", 12)
    assert longest_first.tolist() != ids.tolist()


def test_a_query_that_fills_the_row_is_cut_like_any_text():
    tokenizer = tokenizer_of()
    queries, passages = ["the cat sat on the mat", "the cat"], ["a dog sat on a log"] * 2
    (first, second), cut = encode_rows(tokenizer, [queries, passages], "only_second", 9)
    assert cut == 2
    assert tokens(tokenizer, first) == ["[CLS]", "the", "cat", "sat", "[SEP]", "a", "dog", "sat", "[SEP]"]
    assert tokens(tokenizer, second) == ["[CLS]", "the", "cat", "[SEP]", "a", "dog", "sat", "on", "[SEP]"]


def test_cut_rows_are_counted_and_the_tokenizer_is_left_as_it_was():
    tokenizer = tokenizer_of(max_length=64)
    ids, cut = encode_rows(tokenizer, [["the cat", "a dog sat on a log", "the"]], "longest_first", 6)
    assert ([len(row) for row in ids], cut) == ([4, 6, 3], 1)
    assert [len(row) for row in encode_texts(tokenizer, [["a dog sat on a log"]])] == [8]
    assert [row.tolist() for row in ids] == [
        row.tolist() for row in encode_texts(tokenizer_of(max_length=6), [["the cat", "a dog sat on a log", "the"]])
    ]
