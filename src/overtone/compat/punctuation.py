"""CT-Transformers: punctuation of texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from overtone.compat.arguments import Arguments
from overtone.compat.inputs import tensor, texts
from overtone.compat.standalone import StandaloneModel, answers
from overtone.merging.punctuation.restoration import Punctuator
from overtone.models.checkpoints import Checkpoint

_KNOWN = ("cache", "key")


class PunctuationAdapter(StandaloneModel):
    """FunASR's calls for a punctuation model."""

    def __init__(
        self, checkpoint: Checkpoint, given: Mapping[str, Any], options: Mapping[str, Any], arguments: Arguments
    ) -> None:
        arguments.heeded(given, "AutoModel", checkpoint=checkpoint)
        self._arguments = arguments
        super().__init__(checkpoint, options)
        self._punctuator = Punctuator(checkpoint, self._run)

    def generate(
        self, input: Any, progress: Callable[[int, int], None] | None, arguments: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """`key`, `text` and `punc_array` of each text.

        `punc_array`: ids of marks, int64 (pieces,), a tensor where PyTorch is installed; None for a blank text.
        """
        wanted = self._arguments.heeded(arguments, "generate", _KNOWN)
        return answers(texts(input, wanted.get("key")), self._answer, progress)

    def _answer(self, key: str, text: str) -> dict[str, Any]:
        found = self._punctuator.punctuate(text)
        ids = tensor(np.array(self._punctuator.marks.ids(found.marks), np.int64)) if found.marks else None
        return {"key": key, "text": found.text, "punc_array": ids}
