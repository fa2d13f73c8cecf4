"""Measures of signal processing in speech: the front end learns to give them, and the encoder to sum them up."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

WINDOW = 400
"""Samples (25 ms) that one frame sees."""
HOP = 320
"""Samples (20 ms) between frames."""

FRAME_RATE = 50
"""Frames per second."""

MELS = 40
LAGS = 32
FRAME_TARGETS = MELS + LAGS + 1

_FFT = 512
_SHORTEST, _LONGEST = 26, 228
"""Samples: the periods of 615 Hz and of 70 Hz."""


def frame_targets(waves: torch.Tensor) -> torch.Tensor:
    """(batch, samples) normalized speech to (batch, frames, FRAME_TARGETS), each from a frame's own 25 ms.

    First log-mel energies, then the normalized autocorrelation at logarithmically spaced lags (voicing and
    pitch), then the frame's log energy.
    """
    frames = waves.unfold(1, WINDOW, HOP)
    centred = frames - frames.mean(dim=-1, keepdim=True)
    power = torch.fft.rfft(centred * torch.hann_window(WINDOW), _FFT).abs().square() / WINDOW
    mel = torch.log(power @ _mel_bank().T + 1e-4)
    energy = torch.log(centred.square().mean(dim=-1, keepdim=True) + 1e-5)
    return torch.cat([mel, _autocorrelation(centred), energy], dim=-1)


def _autocorrelation(frames: torch.Tensor) -> torch.Tensor:
    """(..., WINDOW) to (..., LAGS): correlation of a frame's start with its end, in [-1, 1], 0 in silence."""
    spectrum = torch.fft.rfft(frames, 2 * _FFT)
    product = torch.fft.irfft(spectrum.abs().square(), 2 * _FFT)
    energy = F.pad(frames.square().cumsum(-1), (1, 0))
    lags = _lags()
    head = energy[..., WINDOW - lags]
    tail = energy[..., -1:] - energy[..., lags]
    correlation: torch.Tensor = product[..., lags] / torch.sqrt((head * tail).clamp_min(0) + 0.1)
    return correlation


def _lags() -> torch.Tensor:
    """int64 (LAGS,), samples."""
    return torch.logspace(math.log10(_SHORTEST), math.log10(_LONGEST), LAGS).round().long()


def pitch(correlation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Autocorrelation (..., frames, LAGS) to voicing strength and log2 of the pitch in Hz, each (..., frames).

    The shortest lag that comes close to the best one is taken, which is what saves from octave errors.
    """
    smooth = correlation
    best = smooth.amax(dim=-1, keepdim=True)
    peak = smooth >= F.pad(smooth, (1, 1), value=-2.0).unfold(-1, 3, 1).amax(-1)
    good = (peak & (smooth >= 0.85 * best)).float()
    place = good.argmax(dim=-1)
    return best.squeeze(-1), torch.log2(16_000 / _lags()[place].float())


def functionals(targets: torch.Tensor) -> torch.Tensor:
    """Frame targets (frames, FRAME_TARGETS) of one utterance to a description of it, (FUNCTIONALS,).

    Mean, deviation, skewness and three percentiles over the frames in which someone speaks, and the mean size of
    the changes from frame to frame; of cepstra, spectral tilt, energy, pitch, voicing and periodicity. Then what
    the pitch does in time, and the rhythm.
    """
    mel, correlation, energy = targets[:, :MELS], targets[:, MELS : MELS + LAGS], targets[:, -1]
    voicing, octave = pitch(correlation)
    speech = energy > energy.max() - 6.0
    voiced = speech & (voicing > 0.5)
    enough = bool(voiced.sum() > 4)
    sounding = voiced if enough else speech
    cepstra = mel @ _dct(MELS, 14)
    low, high = mel[:, :12].mean(1), mel[:, 22:].mean(1)
    tracks = torch.cat([cepstra, energy[:, None], (high - low)[:, None], voicing[:, None]], dim=1)
    change = (tracks[1:] - tracks[:-1]).abs()[speech[1:]]
    turns = (voiced[1:] != voiced[:-1]).float().mean()
    period = correlation[sounding]
    return torch.cat(
        [
            _summary(tracks[speech]),
            _summary(tracks[sounding]),
            _summary(octave[sounding][:, None]),
            change.mean(0),
            change.std(0),
            torch.stack([voiced.float().mean(), speech.float().mean(), turns]),
            torch.cat([period.mean(0), period.std(0), torch.quantile(period, 0.9, dim=0)]),
            _melody(octave, energy, sounding),
            _rhythm(energy, speech, sounding),
        ]
    )


def _melody(octave: torch.Tensor, energy: torch.Tensor, voiced: torch.Tensor) -> torch.Tensor:
    """Steps, slopes and range of the pitch (frames,), and the slope of the energy, (12,). Slopes are per second."""
    step = (octave[1:] - octave[:-1])[voiced[1:] & voiced[:-1]]
    step = step[step.abs() < 0.3]
    if len(step) < 3:
        step = torch.zeros(3)
    time = torch.nonzero(voiced).flatten().float()
    time = time - time.mean()

    def slope(track: torch.Tensor) -> torch.Tensor:
        return (time * (track - track.mean())).sum() / time.square().sum().clamp_min(1) * FRAME_RATE

    tone = octave[voiced]
    lowest, lower, higher, highest = torch.quantile(tone, torch.tensor([0.05, 0.25, 0.75, 0.95]))
    rise, fall = step.clamp_min(0).mean(), step.clamp_max(0).mean()
    loud = energy[voiced].softmax(0)
    steps = [step.abs().mean(), step.std(), (step > 0).float().mean(), rise, fall]
    levels = [highest - lowest, higher - lower, lowest, highest, (loud * tone).sum()]
    return torch.stack([*steps, slope(tone), slope(energy[voiced]), *levels])


def _rhythm(energy: torch.Tensor, speech: torch.Tensor, voiced: torch.Tensor) -> torch.Tensor:
    """Voiced stretches per second and their mean length, energy peaks per second, log lengths, (5,)."""
    sound = voiced.float()
    stretches = ((sound[1:] - sound[:-1]) > 0).sum() + sound[0]
    peaks = ((energy[1:-1] > energy[:-2]) & (energy[1:-1] > energy[2:])).float().mean()
    return torch.stack(
        [
            stretches / len(energy) * FRAME_RATE,
            sound.sum() / stretches.clamp_min(1) / FRAME_RATE,
            peaks * FRAME_RATE,
            torch.log(torch.tensor(float(len(energy)))),
            torch.log(speech.float().sum()),
        ]
    )


def _summary(track: torch.Tensor) -> torch.Tensor:
    """(frames, tracks) to (6 * tracks,)."""
    mean, deviation = track.mean(0), track.std(0) + 1e-3
    skew = (((track - mean) / deviation) ** 3).mean(0)
    levels = torch.quantile(track, torch.tensor([0.1, 0.5, 0.9]), dim=0)
    return torch.cat([mean, deviation, skew, levels.flatten()])


def _mel_bank() -> torch.Tensor:
    """(MELS, bins): triangles from 50 Hz to 8 kHz, each of unit area."""

    def to_mel(hertz: float) -> float:
        return 2595 * math.log10(1 + hertz / 700)

    edges = torch.linspace(to_mel(50), to_mel(8000), MELS + 2)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    bins = torch.arange(_FFT // 2 + 1) * 16_000 / _FFT
    rise = (bins - hertz[:-2, None]) / (hertz[1:-1] - hertz[:-2])[:, None]
    fall = (hertz[2:, None] - bins) / (hertz[2:] - hertz[1:-1])[:, None]
    bank = torch.minimum(rise, fall).clamp_min(0)
    return bank / bank.sum(dim=1, keepdim=True).clamp_min(1e-3)


def _dct(inputs: int, outputs: int) -> torch.Tensor:
    """(inputs, outputs): the cosine transform, unscaled but for the number of inputs."""
    place = (torch.arange(inputs) + 0.5) * math.pi / inputs
    return torch.cos(place[:, None] * torch.arange(outputs)[None, :]) * math.sqrt(2 / inputs)
