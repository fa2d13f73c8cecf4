"""The words of a checkpoint's vocabulary, with their ids."""

from __future__ import annotations

from overtone.errors import CheckpointError
from overtone.models.checkpoints import Checkpoint, lines
from overtone.system.documents import MAX_VALUES, DocumentError, parse_json, shown

UNKNOWN = "<unk>"
"""The word for every other word that is not in the vocabulary."""

_LONGEST = 256
"""Characters of a word. A result holds it once for each time that it is said."""

_FILES = ("tokens.json", "tokens.txt")


def read_vocabulary(checkpoint: Checkpoint) -> dict[str, int]:
    """Ids by word, in order of the ids, from `tokens.json`, a list of words, or `tokens.txt`, a word per line.

    It takes some 150 bytes a word: 70 MiB for the largest published one, of 471,067 words.
    Raises CheckpointError where the file is missing, or is no list of different words with `<unk>` among them.
    """
    name = next((name for name in _FILES if (checkpoint.folder / name).is_file()), _FILES[0])
    text = checkpoint.text(name)
    words = _listed(text, checkpoint, name) if name.endswith(".json") else _lined(text, checkpoint, name)
    if long := next((word for word in words if len(word) > _LONGEST), None):
        raise CheckpointError(
            f"{checkpoint.name}: {name} holds the word {shown(long)}; a word has {_LONGEST} characters at most."
        )
    ids = {word: place for place, word in enumerate(words)}
    if len(ids) != len(words) or UNKNOWN not in ids:
        raise CheckpointError(f"{checkpoint.name}: {name} must hold {UNKNOWN}, and each word once; fetch it again.")
    return ids


def _listed(text: str, checkpoint: Checkpoint, name: str) -> list[str]:
    try:
        words = parse_json(text)
    except DocumentError as error:
        raise CheckpointError(f"{checkpoint.name}: {name} cannot be read ({error}); fetch it again.") from error
    if not isinstance(words, list):
        raise CheckpointError(f"{checkpoint.name}: {name} is not a list of words; fetch it again.")
    for place, word in enumerate(words):
        if not isinstance(word, str):
            raise CheckpointError(
                f"{checkpoint.name}: {name} is not a list of words: {shown(word)} is number {place}; fetch it again."
            )
    return words


def _lined(text: str, checkpoint: Checkpoint, name: str) -> list[str]:
    if text.count("\n") >= MAX_VALUES:
        raise CheckpointError(f"{checkpoint.name}: {name} holds more than {MAX_VALUES:,} words; it cannot be right.")
    return [line.rstrip() for line in lines(text)]
