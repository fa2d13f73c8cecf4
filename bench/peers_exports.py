"""Graphs of the peers, made as each project tells to make them, on the same checkpoints. Run in a child process.

emotion2vec: the whole graph of `peers_whole`, opset 17; 8 bits by ONNX Runtime's own quantization, dynamic (matrix
products) and static (products and convolutions, uint8 activations by int8 weights, in the QDQ form).

sherpa-onnx: the recipes of its scripts: metadata for its features and tokens; dynamic quantization of matrix products
with uint8 weights. funasr-onnx: FunASR's `AutoModel.export`, with `quantize` for 8 bits.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

FLOAT, DYNAMIC, STATIC = "model.onnx", "model.int8.onnx", "model.static.onnx"
"""Names of the files of an export."""

_OPSET = 17


def emotion2vec(model: str, folder: Path, wavs: list[str]) -> None:
    """Write `FLOAT`, `DYNAMIC` and `STATIC`, the last calibrated on some files."""
    import torch
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )

    from peers_whole import whole
    from peers_worker import read_wav

    with torch.inference_mode():
        torch.onnx.export(
            whole(model, torch.float32),
            (torch.randn(1, 32_000),),
            str(folder / FLOAT),
            opset_version=_OPSET,
            input_names=["waveforms"],
            output_names=["scores"],
            dynamic_axes={"waveforms": {1: "samples"}},
            dynamo=False,
        )
    quantize_dynamic(folder / FLOAT, folder / DYNAMIC, op_types_to_quantize=["MatMul"], weight_type=QuantType.QInt8)

    class Wavs(CalibrationDataReader):  # type: ignore[misc] # the package has no types
        def __init__(self) -> None:
            self._left = iter(wavs)

        def get_next(self) -> dict[str, Any] | None:
            source = next(self._left, None)
            return None if source is None else {"waveforms": read_wav(source)[None]}

    quantize_static(
        folder / FLOAT,
        folder / STATIC,
        Wavs(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["MatMul", "Conv"],
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )


def sensevoice(model: str, folder: Path) -> None:
    """Write what funasr-onnx takes, and `sherpa.onnx`, `sherpa.int8.onnx` and `tokens.txt`."""
    funasr, conf = _exported(model, folder)
    network, tokenizer = funasr.model, funasr.kwargs["tokenizer"]
    size = tokenizer.sp.vocab_size()
    _write_tokens(folder, [tokenizer.sp.id_to_piece(index) for index in range(size)])
    languages = {f"lang_{name}": network.lid_dict[name] for name in ("auto", "zh", "en", "yue", "ja", "ko", "nospeech")}
    told = {
        **conf,
        "model_type": "sense_voice_ctc",
        "version": 2,
        "normalize_samples": 0,
        "vocab_size": size,
        **languages,
        "with_itn": network.textnorm_dict["withitn"],
        "without_itn": network.textnorm_dict["woitn"],
        "comment": "seeded weights",
    }
    names = {"speech": "x", "speech_lengths": "x_length", "textnorm": "text_norm", "ctc_logits": "logits"}
    _write_sherpa(folder, told, names, outputs=["logits"])


def paraformer(model: str, folder: Path) -> None:
    """Write what funasr-onnx takes, and `sherpa.onnx`, `sherpa.int8.onnx` and `tokens.txt`."""
    funasr, conf = _exported(model, folder)
    tokens = json.loads((folder / "tokens.json").read_text(encoding="utf-8"))
    _write_tokens(folder, tokens)
    width = funasr.model.encoder.output_size()
    told = {**conf, "model_type": "paraformer", "vocab_size": len(tokens), "encoder_output_size": width}
    _write_sherpa(folder, told, {})


EXPORTS: Mapping[str, Callable[..., None]] = {
    "emotion2vec": emotion2vec,
    "sensevoice": sensevoice,
    "paraformer": paraformer,
}


def make(name: str, model: str, folder: str, threads: int, **given: Any) -> None:
    """Write an export into a folder that is there once it is whole."""
    import torch

    torch.set_num_threads(threads)
    made = Path(folder)
    part = made.with_name(made.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with _silence():
        EXPORTS[name](model, part, **given)
    part.rename(made)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _exported(model: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    """FunASR's model, its graphs written beside the files that go with them; and sherpa-onnx's metadata of features."""
    import funasr
    import torch

    for path in Path(model).iterdir():
        if path.suffix in {".yaml", ".json", ".mvn", ".model"} or path.name == "seg_dict":
            shutil.copy(path, folder)
    auto = funasr.AutoModel(model=model, device="cpu", disable_update=True, disable_pbar=True)
    # FunASR's graphs were written for the exporter that traces; newer PyTorch takes another one unless told.
    with mock.patch.object(torch.onnx, "export", functools.partial(torch.onnx.export, dynamo=False)):
        auto.export(type="onnx", quantize=True, output_dir=str(folder))
    frontend = auto.kwargs["frontend_conf"]
    lines = (folder / "am.mvn").read_text(encoding="utf-8").splitlines()
    shift, scale = (",".join(line.split()[3:-1]) for line in lines if line.startswith("<LearnRateCoef>"))
    return auto, {
        "lfr_window_size": frontend["lfr_m"],
        "lfr_window_shift": frontend["lfr_n"],
        "neg_mean": shift,
        "inv_stddev": scale,
    }


def _write_tokens(folder: Path, tokens: list[str]) -> None:
    lines = "".join(f"{token} {index}\n" for index, token in enumerate(tokens))
    (folder / "tokens.txt").write_text(lines, encoding="utf-8")


def _write_sherpa(
    folder: Path, told: Mapping[str, Any], names: Mapping[str, str], *, outputs: list[str] | None = None
) -> None:
    """The float graph with metadata, its inputs and outputs named as sherpa-onnx names them; then in 8 bits."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(str(folder / FLOAT))
    for key, value in told.items():
        model.metadata_props.add(key=key, value=str(value))
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)
    if outputs is not None:
        kept = [value for value in model.graph.output if value.name in outputs]
        del model.graph.output[:]
        model.graph.output.extend(kept)
    onnx.save(model, str(folder / "sherpa.onnx"))
    quantize_dynamic(
        folder / "sherpa.onnx",
        folder / "sherpa.int8.onnx",
        op_types_to_quantize=["MatMul"],
        weight_type=QuantType.QUInt8,
    )
