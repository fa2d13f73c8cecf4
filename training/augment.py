"""Perturbations of a waveform that change the voice, the room or the microphone, but not the emotion."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy import signal
from training.data import SAMPLE_RATE, Wave

_FFT = 512
_HOP = 128
_LIFTER = 24
"""Cepstral coefficients that make the spectral envelope: 1.5 ms, below any pitch period."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Ranges to draw from. Ratios are drawn uniformly in [1/x, x] on a logarithmic scale."""

    speed: float = 1.15
    """Tempo, pitch and formants together."""
    formant: float = 1.12
    """Formants (the length of the vocal tract) alone."""
    tilt_db: float = 6.0
    """Largest gain of the random equaliser, dB."""
    noise_db: tuple[float, float] = (15.0, 45.0)
    """Signal-to-noise ratio, dB."""
    noise_chance: float = 0.5
    room_chance: float = 0.3

    def apply(self, wave: Wave, rng: np.random.Generator) -> Wave:
        """A perturbed copy of `wave`; its length changes with the speed."""
        wave = change_speed(wave, _ratio(self.speed, rng))
        wave = warp_formants(wave, _ratio(self.formant, rng))
        wave = equalise(wave, self.tilt_db, rng)
        if rng.random() < self.room_chance:
            wave = add_room(wave, rng)
        if rng.random() < self.noise_chance:
            wave = add_noise(wave, rng.uniform(*self.noise_db), rng)
        return wave


def _ratio(most: float, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(-np.log(most), np.log(most)))) if most > 1 else 1.0


def change_speed(wave: Wave, ratio: float) -> Wave:
    """Play `ratio` times as fast: pitch and formants rise, the duration falls."""
    step = Fraction(ratio).limit_denominator(50)
    if step == 1:
        return wave
    return np.asarray(signal.resample_poly(wave, step.denominator, step.numerator), dtype=np.float32)


def warp_formants(wave: Wave, ratio: float) -> Wave:
    """Move the spectral envelope up by `ratio` and leave pitch and tempo as they are."""
    if ratio == 1 or len(wave) < 2 * _FFT:
        return wave
    spectrum = _stft(wave)
    level = np.log(np.abs(spectrum) + 1e-5)
    cepstrum = np.fft.irfft(level, axis=1)
    cepstrum[:, _LIFTER : _FFT - _LIFTER + 1] = 0
    envelope = np.fft.rfft(cepstrum, axis=1).real
    place = np.minimum(np.arange(_FFT // 2 + 1) / ratio, _FFT // 2 - 1e-3)
    below = place.astype(int)
    part = place - below
    moved = envelope[:, below] * (1 - part) + envelope[:, below + 1] * part
    return _istft(spectrum * np.exp(np.clip(moved - envelope, -5, 5)), len(wave))


def equalise(wave: Wave, most_db: float, rng: np.random.Generator) -> Wave:
    """A smooth random frequency response: gains of up to `most_db` at seven points from 100 Hz to 8 kHz."""
    spectrum = np.fft.rfft(wave)
    hertz = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE)
    points = np.geomspace(100, SAMPLE_RATE / 2, 7)
    gains = rng.uniform(-most_db, most_db, len(points))
    gain = 10 ** (np.interp(np.log(hertz + 1), np.log(points), gains) / 20)
    return np.asarray(np.fft.irfft(spectrum * gain, len(wave)), dtype=np.float32)


def add_room(wave: Wave, rng: np.random.Generator) -> Wave:
    """A diffuse tail of 50 to 400 ms (RT60), 5 to 25 dB below the direct sound."""
    seconds = rng.uniform(0.05, 0.4)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    tail *= 10 ** (-rng.uniform(5, 25) / 20) / np.sqrt((tail**2).sum())
    tail[0] += 1
    return np.asarray(signal.fftconvolve(wave, tail)[: len(wave)], dtype=np.float32)


def add_noise(wave: Wave, ratio_db: float, rng: np.random.Generator) -> Wave:
    """Noise whose spectrum falls by 0 to 6 dB per octave, `ratio_db` below the speech."""
    spectrum = np.fft.rfft(rng.standard_normal(len(wave)))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** rng.uniform(0, 1)
    noise = np.fft.irfft(spectrum, len(wave))
    scale = np.sqrt((wave**2).mean() / ((noise**2).mean() + 1e-12)) * 10 ** (-ratio_db / 20)
    return np.asarray(wave + scale * noise, dtype=np.float32)


def _stft(wave: Wave) -> npt.NDArray[np.complex128]:
    padded = np.pad(wave, (_FFT, _FFT + _HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP]
    return np.asarray(np.fft.rfft(frames * signal.windows.hann(_FFT, sym=False), axis=1))


def _istft(spectrum: npt.NDArray[np.complex128], samples: int) -> Wave:
    window = signal.windows.hann(_FFT, sym=False)
    frames = np.fft.irfft(spectrum, axis=1) * window
    count = len(frames)
    out = np.zeros((count + _FFT // _HOP - 1, _HOP))
    for part in range(_FFT // _HOP):
        out[part : part + count] += frames[:, part * _HOP : (part + 1) * _HOP]
    # Four squared Hann windows a quarter apart add up to 1.5.
    return np.asarray(out.reshape(-1)[_FFT : _FFT + samples] / 1.5, dtype=np.float32)
