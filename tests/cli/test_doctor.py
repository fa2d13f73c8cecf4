"""`overtone doctor`."""

from __future__ import annotations

import re

import pytest

from overtone.audio import decoder_handle
from overtone.cli import amx, doctor
from overtone.cli.app import run


def test_doctor(monkeypatch, capsys):
    code = run(["doctor"])
    out = capsys.readouterr().out
    assert code == (4 if re.search("^bad ", out, re.MULTILINE) else 0)
    for said in ("overtone", "cores", "memory", "torch", "audio", "vad", "tiny", "cache", "HF_HUB_OFFLINE"):
        assert re.search(rf"^(ok|note|bad) +{said} ", out, re.MULTILINE), said


def test_doctor_decodes_a_file_in_a_process_and_says_when_that_fails(monkeypatch, capsys, tmp_path):
    run(["doctor"])
    assert re.search(r"^ok +audio +PyAV .*; 1\.0 s of an MP3 decoded", capsys.readouterr().out, re.MULTILINE)

    (tmp_path / "broken.mp3").write_bytes(b"no audio" * 100)
    monkeypatch.setattr(doctor, "asset", lambda *names: tmp_path / "broken.mp3")
    assert run(["doctor"]) == 4
    out = capsys.readouterr().out
    assert re.search(r"^bad +audio +PyAV .* decoding an MP3 fails \(.*broken\.mp3: not audio", out, re.MULTILINE)


def test_doctor_says_when_no_process_can_decode(monkeypatch, capsys):
    monkeypatch.setattr(decoder_handle, "_START", "raise SystemExit(3)")
    assert run(["doctor"]) == 4
    out = capsys.readouterr().out
    assert re.search(r"^bad +audio +PyAV .* decoding an MP3 fails \(.*died \(exit 3\)", out, re.MULTILINE)


def test_doctor_advises_on_amx(monkeypatch, capsys):
    for there in (True, False):
        monkeypatch.setattr(amx, "has_amx", lambda there=there: there)
        run(["doctor"])
        out = capsys.readouterr().out
        assert bool(re.search(r"^ok +amx .*--precision bf16 .* not measured yet", out, re.MULTILINE)) is there


@pytest.mark.parametrize(
    ("version", "variable", "value", "advised"),
    [
        ("2.13.0+cu130", None, "", "PYTORCH_ALLOC_CONF"),
        ("2.8.1", None, "", "PYTORCH_CUDA_ALLOC_CONF"),
        ("2.13.0", "PYTORCH_ALLOC_CONF", "max_split_size_mb:64", "PYTORCH_ALLOC_CONF"),
        ("2.13.0", "PYTORCH_ALLOC_CONF", "expandable_segments:True", None),
        ("2.13.0", "PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True", None),
    ],
)
def test_doctor_advises_on_a_gpus_allocator(monkeypatch, capsys, version, variable, value, advised):
    torch = pytest.importorskip("torch", reason="PyTorch, which doctor asks about GPUs, is not installed")
    monkeypatch.setattr(torch, "__version__", version)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (7 << 30, 8 << 30))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, value)
    run(["doctor"])
    out = capsys.readouterr().out
    assert re.search(r"^ok +cuda:1 +GPU 1, 7.00 GiB free of 8.00 GiB", out, re.MULTILINE)
    said = re.search(r"^note gpu memory +set (\w+)=expandable_segments:True: .* grow", out, re.MULTILINE)
    assert (said[1] if said else None) == advised


def test_doctor_finds_wrong_settings(monkeypatch, capsys):
    monkeypatch.setenv("OVERTONE_THREADS", "two")
    assert run(["doctor"]) == 4
    assert "OVERTONE_THREADS=two" in capsys.readouterr().out
