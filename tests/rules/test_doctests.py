"""Examples in the docstrings of public names run, and give what they show."""

from __future__ import annotations

import doctest
from collections.abc import Iterator
from typing import Any

import pytest

import overtone
import overtone.compat
from helpers.paths import ROOT

PUBLIC = {
    **{name: getattr(overtone, name) for name in overtone.__all__ if name != "__version__"},
    **{name: getattr(overtone.compat, name) for name in overtone.compat.__all__},
}

DOWNLOADED = {"Transcriber"}
"""Names whose examples take a model that is not inside the package; they are not run."""


def examples(name: str, value: Any) -> Iterator[doctest.DocTest]:
    """The examples of a public name, and of the methods that it inherits from classes of the package."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    classes = value.__mro__ if isinstance(value, type) else (value,)
    for one in classes:
        if getattr(one, "__module__", "").startswith("overtone."):
            yield from (found for found in finder.find(one, one.__name__, globs={}) if found.examples)


FOUND = {found.name: found for name, value in PUBLIC.items() for found in examples(name, value)}


def failures(example: doctest.DocTest) -> list[str]:
    """Messages of the lines that give something else than the example shows."""
    shown: list[str] = []
    doctest.DocTestRunner(verbose=False).run(example, out=shown.append)
    return shown


@pytest.mark.parametrize("name", sorted(FOUND))
def test_examples_give_what_they_show(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OVERTONE_THREADS", "1")
    monkeypatch.setenv("OVERTONE_DECODE", "threads")  # which are sooner there than processes
    assert failures(FOUND[name]) == []


def test_every_class_and_function_of_the_spine_has_an_example():
    """Of pipelines and of FunASR's calls; an example that is skipped counts for a model that has to be downloaded."""
    spine = {
        name: value
        for name, value in PUBLIC.items()
        if value.__module__.startswith(("overtone.pipelines.", "overtone.compat."))
    }
    assert {"AutoModel", "EmotionRecognizer", "LiveSession", "RequestContext", "Transcriber"} <= {*spine}
    assert {*spine} <= {*FOUND}
    assert {"Pipeline.__call__", "Pipeline.results_for", "Pipeline.stream", "EmotionRecognizer.live"} <= {*FOUND}


def test_examples_are_run_unless_they_take_a_download():
    for name, found in FOUND.items():
        skipped = {doctest.SKIP in example.options for example in found.examples}
        assert skipped == ({True, False} if name in DOWNLOADED else {False}), name


@pytest.mark.parametrize("broken", [">>> 1 + 1\n3\n", ">>> 1 / 0\n"])
def test_an_example_that_is_not_true_is_noticed(broken: str):
    assert failures(doctest.DocTestParser().get_doctest(broken, {}, "broken", None, 0))


def test_an_example_of_a_method_is_found():
    class Documented:
        def method(self) -> None:
            """>>> 1 + 1
            2
            """

    Documented.__module__ = "overtone.documented"
    assert [found.name for found in examples("Documented", Documented)] == ["Documented.method"]
