"""The page as text: nothing from elsewhere, nothing of a run's names read as HTML."""

import re

from raykd.serve.page import PAGE_HEADERS, page

_DESCRIBED = {
    "run": "<b>run</b>",
    "model": "student/many_on_one",
    "classes": 2,
    "fields": ["question", "</script><script>alert(1)"],
    "parts": ["head golden"],
    "inputs": {"kind": "tokens", "length": 64},
}


def test_page_is_self_contained_and_escaped() -> None:
    text = page(_DESCRIBED)
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert "//" not in re.sub(r"https?://www\.w3\.org", "", text)
    assert "<b>run" not in text
    assert text.count("<script>") == text.count("</script>") == 1
    assert text.count("<textarea") == 2


def test_classes_have_their_names_where_they_have_any() -> None:
    assert '"classes": []' in page(_DESCRIBED)
    assert '"classes": ["no", "\\u003cyes\\u003e"]' in page({**_DESCRIBED, "class_names": ["no", "<yes>"]})


def test_page_may_load_nothing() -> None:
    assert "default-src 'none'" in PAGE_HEADERS["Content-Security-Policy"]
