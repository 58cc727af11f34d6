from collections import Counter

import pyarrow as pa
import pytest

from raykd.data import docsqa

SHARES = {"validation": 0.1, "test": 0.2}
NUMPY_FILES = ["numpy/_core/fromnumeric.py", "numpy/_core/numeric.py"]

SOURCE = '''
class Kept:
    """A summary over
    two lines.

    A body of   enough words
    to be kept.
    """

    def two_words(self):
        """Two words.

        A body of enough words to be kept.
        """

    async def kept_too(self):
        """Three words here.

        Exactly five words of body.
        """

def no_body():
    """A summary of enough words, and nothing else."""

def short_body():
    """A summary of enough words.

    Only four words here.
    """

def bare(): pass

try:
    import missing
except ImportError:
    for _ in range(1):
        match 1:
            case 1:
                def deep_inside():
                    """Found wherever it stands.

                    Exactly five words of body.
                    """
'''


def docstrings(modules=40, each=10):
    places = [(module, row) for module in range(modules) for row in range(each)]
    return pa.table(
        {
            "file": [f"package/m{module}.py" for module, _ in places],
            "query": [f"summary {row} of module {module}" for module, row in places],
            "passage": [f"body {row} of module {module}" for module, row in places],
        }
    )


def pairs_of(table, seed=0, shares=SHARES):
    return docsqa.pairs(table, shares, seed).to_pylist()


def test_every_docstring_is_a_positive_and_a_negative_pair():
    rows = pairs_of(docstrings(), shares={})
    assert Counter(row["label"] for row in rows) == {0: 400, 1: 400}
    assert all(count == 2 for count in Counter(row["text_0"] for row in rows).values())


def test_labels_are_balanced_in_every_split():
    rows = pairs_of(docstrings())
    for split in ("train", "validation", "test"):
        labels = [row["label"] for row in rows if row["split"] == split]
        assert 2 * sum(labels) == len(labels) > 0


def test_positives_match_and_negatives_are_another_passage_of_the_same_module():
    for row in pairs_of(docstrings()):
        _, own, _, _, module = row["text_0"].split()
        if row["label"]:
            assert row["text_1"] == f"body {own} of module {module}"
        else:
            assert row["text_1"].endswith(f" of module {module}")
            assert row["text_1"] != f"body {own} of module {module}"


@pytest.mark.parametrize("seed", [0, 1])
def test_no_passage_and_no_query_stands_in_two_splits(seed):
    rows = pairs_of(docstrings(), seed)
    for column in ("text_0", "text_1"):
        assert len({(row[column], row["split"]) for row in rows}) == len({row[column] for row in rows})


def test_splits_have_about_their_shares():
    # Of 2,000 docstrings 200 and 400 are expected, with standard deviations of 13 and 18.
    rows = pairs_of(docstrings(modules=10, each=200))
    counts = Counter(row["split"] for row in rows if row["label"])
    assert abs(counts["validation"] - 200) < 60
    assert abs(counts["test"] - 400) < 80
    assert sum(counts.values()) == 2000


def test_pairs_depend_on_the_docstrings_and_the_seed_alone():
    table = docstrings()
    shuffled = table.take(pa.array([(7 * row) % table.num_rows for row in range(table.num_rows)]))
    assert pairs_of(table) == pairs_of(shuffled)
    assert pairs_of(table, seed=1) != pairs_of(table)


def test_ids_are_unique():
    ids = [row["example_id"] for row in pairs_of(docstrings())]
    assert len(set(ids)) == len(ids)
    assert all(0 <= example_id < 2**63 for example_id in ids)


def test_an_id_names_its_texts_whatever_the_seed():
    first = {row["example_id"]: (row["text_0"], row["text_1"]) for row in pairs_of(docstrings(), shares={})}
    other = {row["example_id"]: (row["text_0"], row["text_1"]) for row in pairs_of(docstrings(), seed=1, shares={})}
    common = set(first) & set(other)
    assert len(common) >= 400  # All positives at least.
    assert all(first[example_id] == other[example_id] for example_id in common)


def test_repeated_docstrings_count_once():
    table = docstrings(modules=2)
    copied = table.set_column(0, "file", pa.array(["package/copy.py"] * table.num_rows))
    rows = pairs_of(pa.concat_tables([table, copied]), shares={})
    positives = [row["text_1"] for row in rows if row["label"]]
    assert sorted(positives) == sorted(table["passage"].to_pylist())


def test_a_lone_docstring_of_a_module_and_split_makes_no_pair():
    lone = pa.table({"file": ["package/lone.py"], "query": ["a lone summary"], "passage": ["its body"]})
    rows = pairs_of(pa.concat_tables([docstrings(modules=1), lone]), shares={})
    assert len(rows) == 20
    assert "a lone summary" not in {row["text_0"] for row in rows}


def test_no_pairs_still_have_their_columns():
    table = docsqa.pairs(docstrings(modules=1, each=1), {}, seed=0)
    assert table.num_rows == 0
    assert table.column_names == ["example_id", "split", "text_0", "text_1", "label"]


def test_docstrings_of_a_source_by_hand(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(SOURCE)
    rows = docsqa.docstrings_of([str(path)]).to_pylist()
    expected = [
        ("A summary over two lines.", "A body of enough words to be kept."),
        ("Found wherever it stands.", "Exactly five words of body."),
        ("Three words here.", "Exactly five words of body."),
    ]
    assert sorted((row["query"], row["passage"]) for row in rows) == expected


@pytest.mark.parametrize("source", ['def broken(:\n    """Not Python."""', '"""\0"""', ""])
def test_a_file_that_does_not_parse_is_passed_over(tmp_path, source):
    path = tmp_path / "module.py"
    path.write_text(source)
    assert docsqa.docstrings_of([str(path)]).num_rows == 0


def test_docstrings_of_installed_files():
    table = docsqa.docstrings_of(NUMPY_FILES)
    assert table.column_names == ["file", "query", "passage"]
    assert table.num_rows > 50
    assert set(table["file"].to_pylist()) == set(NUMPY_FILES)
    assert "Sum of array elements over a given axis." in table["query"].to_pylist()
    for row in table.to_pylist():
        assert len(row["query"].split()) >= 3
        assert 5 <= len(row["passage"].split()) <= 120
        assert all(text == " ".join(text.split()) for text in (row["query"], row["passage"]))


def test_pairs_of_installed_files_leak_nothing():
    rows = docsqa.pairs(docsqa.docstrings_of(NUMPY_FILES), SHARES, seed=0).to_pylist()
    assert Counter(row["label"] for row in rows)[0] * 2 == len(rows) > 100
    assert len({(row["text_1"], row["split"]) for row in rows}) == len({row["text_1"] for row in rows})


def test_source_files_are_sorted_and_leave_tests_out():
    files = docsqa.source_files()
    assert files == sorted(set(files))
    assert set(NUMPY_FILES) <= set(files)
    assert {file.split("/")[0] for file in files} == set(docsqa.PACKAGES)
    assert not [file for file in files if "/tests/" in file or file.endswith(("_test.py", "_pb2.py"))]
