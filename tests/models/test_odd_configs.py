"""Configs in which anything may stand anywhere: each reader of every family gives what it reads or one CheckpointError.

Any other exception fails these tests, and a network of absurd size would end them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.odd_configs import CONFIGS, ODD, folder_of, places, put, read_everything
from overtone.errors import CheckpointError
from overtone.models import checkpoints
from overtone.models.yaml_config import write_yaml

NETWORKS = pytest.mark.parametrize("network", CONFIGS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("odd")
    return {network: folder_of(place / network, network) for network in CONFIGS}


def told(folder: Path, config: str | bytes) -> list[str]:
    path = folder / "config.yaml"
    path.write_bytes(config if isinstance(config, bytes) else config.encode())
    messages = read_everything(folder)
    for message in messages:
        assert message.startswith("here: ")
        assert "\n" not in message
        assert len(message) < 1000
    return messages


@NETWORKS
def test_but_for_its_weights_each_folder_is_whole(network: str, folders: dict[str, Path]) -> None:
    found = set(told(folders[network], write_yaml(CONFIGS[network])))
    assert len(found) == 1
    assert "model.safetensors" in found.pop()


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8"), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@NETWORKS
@settings(max_examples=40)
@given(data=st.data())
def test_a_value_may_be_anything(network: str, folders: dict[str, Path], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(places(CONFIGS[network]))))
    plain = PLAIN.map(lambda value: json.dumps(value) if "HERE" not in str(value) else "1")
    told(folders[network], put(CONFIGS[network], path, data.draw(st.sampled_from(ODD) | plain)))


@NETWORKS
@settings(max_examples=30)
@given(data=st.data())
def test_a_text_may_be_damaged_anywhere(network: str, folders: dict[str, Path], data: st.DataObject) -> None:
    lines = write_yaml(CONFIGS[network]).encode().splitlines(keepends=True)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        what = data.draw(st.sampled_from(["drop", "twice", "indent", "cut", "bytes"]))
        line = lines[at]
        middle = data.draw(st.integers(0, len(line)))
        lines[at] = {
            "drop": b"",
            "twice": line + line,
            "indent": b"  " + line,
            "cut": line[:middle],
            "bytes": line[:middle] + data.draw(st.binary(max_size=4)) + line[middle:],
        }[what]
        lines = [*lines, b""]
    told(folders[network], b"".join(lines))


@given(config=st.binary(max_size=80) | PLAIN.map(lambda value: write_yaml(value).encode()))
def test_a_file_may_hold_any_bytes(folders: dict[str, Path], config: bytes) -> None:
    told(folders["campplus"], config)


LAYERS = {
    "emotion2vec": ("model_conf", "depth"),
    "fsmn-vad": ("encoder_conf", "fsmn_layers"),
    "ct-transformer": ("encoder_conf", "num_blocks"),
    "sense-voice": ("encoder_conf", "tp_blocks"),
    "paraformer": ("decoder_conf", "num_blocks"),
    "seaco-paraformer": ("seaco_decoder_conf", "att_layer_num"),
    "streaming-paraformer": ("encoder_conf", "num_blocks"),
}
WIDTHS = {
    "emotion2vec": ("model_conf", "embed_dim"),
    "fsmn-vad": ("encoder_conf", "linear_dim"),
    "campplus": ("model_conf", "init_channels"),
    "ct-transformer": ("encoder_conf", "linear_units"),
    "sense-voice": ("encoder_conf", "output_size"),
    "paraformer": ("encoder_conf", "output_size"),
}


@pytest.mark.parametrize(
    ("network", "path", "size"),
    [(network, path, 10**9) for network, path in LAYERS.items()]
    + [(network, path, 257) for network, path in LAYERS.items()]
    + [(network, path, 10**12) for network, path in WIDTHS.items()],
)
def test_no_network_is_built_of_a_size_that_cannot_be(
    network: str, path: tuple[str, ...], size: int, folders: dict[str, Path]
) -> None:
    messages = told(folders[network], put(CONFIGS[network], path, str(size)))
    assert any(path[-1] in message and str(size) in message for message in messages)
    assert not any("lacks" in message for message in messages)  # which is said of a network that was built


ODDITIES: list[tuple[str, tuple[str, ...], str, str]] = [
    ("emotion2vec", ("model_conf", "mlp_ratio"), "9" * 60, "model_conf.mlp_ratio"),
    ("emotion2vec", ("model_conf", "norm_eps"), "9" * 60, "model_conf.norm_eps"),
    ("emotion2vec", ("model_conf", "modalities", "audio", "alibi_scale"), "9" * 60, "alibi_scale"),
    ("emotion2vec", ("model_conf", "modalities", "audio", "alibi_scale"), ".nan", "alibi_scale"),
    ("emotion2vec", ("model_conf", "depth"), "9" * 5000, "a number of 5,000 characters is not read, line"),
    (
        "emotion2vec",
        ("model_conf", "modalities", "audio", "feature_encoder_spec"),
        "'[(8, 2, 8192)] * 64'",
        "feature_encoder_spec makes a frame of",
    ),
    ("emotion2vec", ("scope_map",), "[[1]]", "scope_map in config.yaml is [[1]], not a list of names"),
    ("paraformer", ("decoder_conf", "sanm_shfit"), "true", "decoder_conf.sanm_shfit is True"),
    ("paraformer", ("predictor_conf", "threshold"), "true", "predictor_conf.threshold is True; only 1.0 is known"),
    (
        "paraformer",
        ("predictor_conf", "tail_threshold"),
        "1e5",
        "tail_threshold is 100000.0, not a number from 0 to 16",
    ),
    ("paraformer", ("frontend_conf",), "false", "frontend_conf in config.yaml is not a mapping"),
    ("seaco-paraformer", ("model_conf", "sos"), "5000", "ids are below 120"),
    ("bicif-paraformer", ("predictor_conf", "use_cif1_cnn"), "text", "use_cif1_cnn is 'text', not bool"),
    ("sense-voice", ("ctc_conf",), "[]", "ctc_conf in config.yaml is not a mapping"),
    ("ct-transformer", ("model_conf", "sentence_end_id"), "true", "sentence_end_id in config.yaml is True"),
    ("ct-transformer", ("model_conf", "punc_list"), f"[<unk>, _, '{'。' * 17}']", "a mark of 17 characters"),
    ("fsmn-vad", ("model_conf", "snr_thres"), "9" * 60, "model_conf.snr_thres in config.yaml is 999"),
    ("fsmn-vad", ("model_conf", "noise_frame_num_used_for_snr"), "1e300", "noise_frame_num_used_for_snr"),
    ("fsmn-vad", ("model_conf", "sil_pdf_ids"), "[true]", "sil_pdf_ids in config.yaml is [True]; a list of ids"),
    ("fsmn-vad", ("model_conf", "sil_pdf_ids"), "[0, 0]", "each id is meant once"),
    ("fsmn-vad", ("model_conf", "silence_schedule"), "[[.nan, 1]]", "a list of pairs of times"),
    ("fsmn-vad", ("encoder_conf", "lstride"), "60000", "encoder_conf.lstride is 60000, not a number from 1 to 16"),
    ("fsmn-vad", ("frontend_conf", "cmvn_file"), "'" + "a" * 300 + "'", "which no file can be called"),
    ("campplus", ("model_conf",), "{1: 2, '1': 3}", "'1' is twice, line"),
    ("campplus", ("model",), "[1]", "model in config.yaml is [1], not the name of a network"),
]


@pytest.mark.parametrize(("network", "path", "written", "said"), ODDITIES, ids=range(len(ODDITIES)))
def test_an_odd_value_is_named_with_its_key(
    network: str, path: tuple[str, ...], written: str, said: str, folders: dict[str, Path]
) -> None:
    messages = told(folders[network], put(CONFIGS[network], path, written))
    assert any(said in message for message in messages), messages


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["file_path_metas", "init_param", "tokenizer_conf", "token_list"]) | st.text(max_size=4),
            inner,
        )
    ),
)


@given(said=_JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40))
def test_what_names_the_files_may_be_anything(folders: dict[str, Path], said: bytes) -> None:
    folder = folders["ct-transformer"]
    path = folder / "configuration.json"
    path.write_bytes(said)
    try:
        assert checkpoints.read(folder, name="here").weights.is_relative_to(folder)
    except CheckpointError as error:
        message = str(error)
    else:
        message = "here: "
    finally:
        path.unlink()
    assert message.startswith("here: ")
