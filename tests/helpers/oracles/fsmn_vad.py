"""FSMN-VAD as it is published, with seeded weights, and FunASR's own of the same folder.

The weights are random, but for one channel that carries how loud the filter banks are from the input to the logit of
silence. So speech and silence alternate as they do for a trained network, at edges that are ragged.
"""

from __future__ import annotations

import io
import json
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from helpers.oracles.auto_model import funasr_auto_model

SIZES = {
    "small": {"affine": 16, "layers": 2, "linear": 24, "proj": 12, "lorder": 6, "outputs": 9},
    "published": {"affine": 140, "layers": 4, "linear": 250, "proj": 128, "lorder": 20, "outputs": 248},
}

CONFIG = """\
frontend: WavFrontendOnline
frontend_conf:
    fs: 16000
    window: hamming
    n_mels: 80
    frame_length: 25
    frame_shift: 10
    dither: 0.0
    lfr_m: 5
    lfr_n: 1

model: FsmnVADStreaming
model_conf:
    sample_rate: 16000
    detect_mode: 1
    snr_mode: 0
    max_end_silence_time: 800
    max_start_silence_time: 3000
    do_start_point_detection: True
    do_end_point_detection: True
    window_size_ms: 200
    sil_to_speech_time_thres: 150
    speech_to_sil_time_thres: 150
    speech_2_noise_ratio: 1.0
    do_extend: 1
    lookback_time_start_point: 200
    lookahead_time_end_point: 100
    max_single_segment_time: 60000
    snr_thres: -100.0
    noise_frame_num_used_for_snr: 100
    decibel_thres: -100.0
    speech_noise_thres: 0.6
    fe_prior_thres: 0.0001
    silence_pdf_num: 1
    sil_pdf_ids: [0]
    speech_noise_thresh_low: -0.1
    speech_noise_thresh_high: 0.3
    output_frame_probs: False
    frame_in_ms: 10
    frame_length_ms: 25

encoder: FSMN
encoder_conf:
    input_dim: 400
    input_affine_dim: {affine}
    fsmn_layers: {layers}
    linear_dim: {linear}
    proj_dim: {proj}
    lorder: {lorder}
    rorder: 0
    lstride: 1
    rstride: 0
    output_affine_dim: {affine}
    output_dim: {outputs}
"""

CONFIGURATION = {
    "framework": "pytorch",
    "task": "voice-activity-detection",
    "pipeline": {"type": "funasr-pipeline"},
    "model": {"type": "funasr"},
    "file_path_metas": {
        "init_param": "model.pt",
        "config": "config.yaml",
        "frontend_conf": {"cmvn_file": "am.mvn"},
    },
    "model_name_in_hub": {"ms": "iic/speech_fsmn_vad_zh-cn-16k-common-pytorch", "hf": "funasr/fsmn-vad"},
}

_LEVEL, _SPREAD = 11.0, 4.0
"""About the mean and the spread of the filter banks of speech at a usual level."""
_STEEPNESS = 2.0
"""Logits of silence for one spread: digital silence, seven below speech, must not be all but certain to float32, for
FunASR takes a logarithm of what is left."""


def publish(folder: Path, *, seed: int = 0, size: Literal["small", "published"] = "small") -> Path:
    """Write a folder as `iic/speech_fsmn_vad_zh-cn-16k-common-pytorch` is laid out."""
    import yaml

    config = CONFIG.format(**SIZES[size])
    conf = yaml.safe_load(config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import funasr.models.fsmn_vad_streaming.encoder  # noqa: F401 - registers the encoder
        from funasr.models.fsmn_vad_streaming.model import FsmnVADStreaming

    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    network = FsmnVADStreaming(conf["encoder"], conf["encoder_conf"], **conf["model_conf"])
    shift = -_LEVEL + torch.randn(400)
    scale = (1 + 0.1 * torch.randn(400)) / _SPREAD
    torch.random.set_rng_state(state)
    with torch.no_grad():
        _carry_loudness(network.encoder, conf["encoder_conf"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / "configuration.json").write_text(json.dumps(CONFIGURATION, indent=4), encoding="utf-8")
    (folder / "am.mvn").write_text(_mvn(shift, scale), encoding="utf-8")
    torch.save(network.state_dict(), folder / "model.pt")
    return folder


def _carry_loudness(encoder: Any, conf: dict[str, int]) -> None:
    """Channel 0 is the mean of the features, lifted so that no rectifier cuts it, and averaged by each memory."""
    lift = 6.0

    def carry(affine: Any, weight: float, bias: float = 0.0) -> None:
        affine.linear.weight[0] = 0
        affine.linear.weight[0, 0] = weight
        if affine.linear.bias is not None:
            affine.linear.bias[0] = bias

    encoder.in_linear1.linear.weight[0] = 1 / conf["input_dim"]
    encoder.in_linear1.linear.bias[0] = lift
    carry(encoder.in_linear2, 1.0)
    for layer in encoder.fsmn:
        carry(layer.linear, 1.0)
        layer.fsmn_block.conv_left.weight[0] = 1 / conf["lorder"]
        carry(layer.affine, 0.5)
    carry(encoder.out_linear1, 1.0)
    encoder.out_linear2.linear.weight[0] *= 2
    encoder.out_linear2.linear.weight[0, 0] = -_STEEPNESS
    encoder.out_linear2.linear.bias[0] = _STEEPNESS * lift
    undecided = encoder(torch.zeros(1, 200, conf["input_dim"]))[0, -1, 0]
    encoder.out_linear2.linear.bias[0] -= torch.logit(undecided)  # now it is undecided at the mean level


def _mvn(shift: torch.Tensor, scale: torch.Tensor) -> str:
    parts = ["<Nnet> ", "<Splice> 400 400", "[ 0 ]"]
    for mark, vector in (("<AddShift>", shift), ("<Rescale>", scale)):
        numbers = " ".join(f"{value:.6f}" for value in vector.tolist())
        parts += [f"{mark} 400 400 ", f"<LearnRateCoef> 0 [ {numbers} ]"]
    return "\n".join([*parts, "</Nnet> ", ""])


def funasr(folder: Path) -> Any:
    """FunASR's own `AutoModel` of that folder."""
    return funasr_auto_model(folder)


def funasr_spans(silence: np.ndarray, samples: np.ndarray, calls: list[int], **kwargs: Any) -> list[list[list[int]]]:
    """What FunASR's own detector makes of such probabilities: the spans of each call of `inference`.

    silence: (frames,), for every frame of `samples`, of which each call has so many and one more has the rest.
    kwargs: of FunASR's model and of each call alike, as in `vad_kwargs`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import funasr.models.fsmn_vad_streaming.encoder  # noqa: F401 - registers it
        from funasr.models.fsmn_vad_streaming.model import FsmnVADStreaming

        model = FsmnVADStreaming("FSMN", _tiny(), **kwargs)
    model.encoder = _Told(torch.from_numpy(silence))
    cache: dict[str, Any] = {}
    found = []
    rest = samples
    with redirect_stdout(io.StringIO()):  # where it prints what it finds odd
        for place, size in enumerate([*calls, len(samples)]):
            part, rest = torch.from_numpy(rest[:size]), rest[size:]
            last = place == len(calls)
            kwargs = {"chunk_size": 60_000, **kwargs}
            results, _ = model.inference(
                [part], key=["x"], frontend=_Frames(), cache=cache, device="cpu", is_final=last, **kwargs
            )
            found.append(results[0]["value"])
    return found


def _tiny() -> dict[str, int]:
    names = ("input_dim", "input_affine_dim", "linear_dim", "proj_dim", "output_affine_dim", "output_dim")
    return {**dict.fromkeys(names, 1), "fsmn_layers": 1, "lorder": 2, "rorder": 0, "lstride": 1, "rstride": 0}


class _Told(torch.nn.Module):
    """In place of the network: the next of the probabilities."""

    def __init__(self, silence: torch.Tensor) -> None:
        super().__init__()
        self.silence, self.told = silence, 0

    def forward(self, features: torch.Tensor, cache: Any) -> torch.Tensor:
        start, self.told = self.told, self.told + features.shape[1]
        some = self.silence[start : self.told]
        assert len(some) == features.shape[1]
        return torch.stack([some, 1 - some], dim=1)[None]


class _Frames:
    """In place of FunASR's front end: features that say nothing, as many at a time as it would give."""

    fs, frame_shift, lfr_n, supports_aligned_waveforms = 16_000, 10, 1, True

    def __call__(
        self, samples: torch.Tensor, _: Any, *, cache: dict[str, Any], is_final: bool, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        heard = cache["heard"] = torch.cat([cache.get("heard", torch.zeros(1, 0)), samples], dim=1)
        start = cache.get("given", 0)
        frames = max(0, (heard.shape[1] - 400) // 160 + 1)
        stop = cache["given"] = max(frames - (0 if is_final else 2), 0)
        cache["aligned_waveforms"] = heard[:, start * 160 : (stop - 1) * 160 + 400]
        return torch.zeros(1, stop - start, 1), torch.tensor([stop - start])
