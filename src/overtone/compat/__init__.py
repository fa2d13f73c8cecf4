"""FunASR's `AutoModel`: same call, same results, so that a script changes one import.

    from overtone.compat import AutoModel

    model = AutoModel(model="iic/emotion2vec_plus_large")
    model.generate("a.wav", granularity="utterance", extract_embedding=False)

    model = AutoModel(model="paraformer-zh", vad_model="fsmn-vad", punc_model="ct-punc", spk_model="cam++")
    model.generate("meeting.wav")

The checkpoint says which kind of model it is: emotion2vec (`emotion.py`), SenseVoice and the Paraformers
(`recognition.py`), a Paraformer for speech that is still going on (`streaming.py`), FSMN-VAD (`vad.py`), a
CT-Transformer (`punctuation.py`), CAM++ (`speaker.py`). Each does what FunASR 1.4.16 does with it. Memory is bounded, a
list is batched without changing an answer, no call changes the model, models come from the Hugging Face Hub unless
hub="ms". An argument that FunASR ignores gives an `IgnoredArgumentWarning`; one that would change an answer there and
not here is refused by name.
"""

from overtone.compat.arguments import IgnoredArgumentWarning
from overtone.compat.auto_model import AutoModel
from overtone.compat.rich_text import rich_transcription_postprocess

__all__ = ["AutoModel", "IgnoredArgumentWarning", "rich_transcription_postprocess"]
