"""The shape of a Paraformer network, read from its own `config.yaml`. No torch here.

Three classes share it: `Paraformer`; `BiCifParaformer`, which also tells when each token was said; and
`SeacoParaformer`, which besides listens for hot words. The encoder's own settings are read where it is built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from overtone.errors import CheckpointError
from overtone.models.config_reader import MOST_LAYERS, ConfigReader
from overtone.system.documents import shown

KINDS = ("Paraformer", "BiCifParaformer", "SeacoParaformer")
"""Classes that take whole segments, as `config.yaml` names them."""

STREAMING = "ParaformerStreaming"
"""The class that takes speech chunk by chunk; its encoder has another class, of the same layers."""

_ENCODERS = {**dict.fromkeys(KINDS, "SANMEncoder"), STREAMING: "SANMEncoderChunkOpt"}

SCORING_LAYERS = 6
"""Layers of the hot words' decoder that it takes to score hot words: attention of the last of them is the score."""

_reader = partial(ConfigReader, largest=1 << 20)
"""Reader of one section, by its values, the checkpoint's name, and the section's key."""

_MOST_HEADS, _LONGEST_KERNEL = 256, 4096
"""Limits far above the 4 heads and the 11 or 21 tokens of published decoders."""

_MOST_A_FRAME = 16
"""Limit of what a frame weighs, a token for each 1, and of the weights that it is divided into. Published networks have
1, and 3."""


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """A `ParaformerSANMDecoder`: tokens from acoustic embeddings, all at once.

    heads: of attention. units: of each feed-forward layer. attending: layers that attend to the encoder; more:
    layers after them that do not. kernel: tokens that the memory sees, `shift` of them moved from after to before.
    """

    heads: int
    units: int
    attending: int
    more: int
    kernel: int
    shift: int

    @classmethod
    def from_config(cls, conf: Any, name: str, key: str) -> DecoderConfig:
        """Read `decoder_conf` (or what `key` is). CheckpointError for what this network does not implement."""
        reader = _reader(conf, name, key)
        reader.only("normalize_before", True)
        reader.only("concat_after", False)
        reader.only("lora_list", None)
        kernel = reader.integer("kernel_size", 21, most=_LONGEST_KERNEL)
        blocks, attending = (reader.integer(word, 6, most=MOST_LAYERS) for word in ("num_blocks", "att_layer_num"))
        shift = reader.get("sanm_shfit", 0)
        if shift is None:
            shift = (kernel - 1) // 2
        if not isinstance(shift, int) or isinstance(shift, bool) or not 0 <= shift <= kernel // 2:
            raise reader.error("sanm_shfit", shift, f", which no kernel of {kernel} allows.")
        return cls(
            heads=reader.integer("attention_heads", 4, most=_MOST_HEADS),
            units=reader.integer("linear_units", 2048),
            attending=attending,
            more=max(0, blocks - attending),
            kernel=kernel,
            shift=shift,
        )


@dataclass(frozen=True, slots=True)
class PredictorConfig:
    """A `CifPredictorV2` or `V3`: the share of a token in each frame.

    left, right: neighboring frames it sees. smooth, noise: a weight becomes `max(0, weight * smooth - noise)`.
    tail: added past the last frame, so that a token begun there still comes out. times: whether it also says when
    (V3), with `upsample` weights a frame, after `recurrent` layers or none, from its own `convolved` frames or the
    encoder's, and with separate smoothing.
    """

    left: int
    right: int
    smooth: float
    noise: float
    tail: float
    times: bool
    upsample: int = 1
    recurrent: bool = False
    convolved: bool = False
    smooth_times: float = 1.0
    noise_times: float = 0.0

    @classmethod
    def from_config(cls, config: Mapping[str, Any], name: str, dim: int) -> PredictorConfig:
        """Read `predictor` and `predictor_conf`. CheckpointError for what this network does not implement."""
        kind = config.get("predictor")
        if kind not in ("CifPredictorV2", "CifPredictorV3"):
            raise CheckpointError(f"{name}: predictor is {shown(kind)}; CifPredictorV2 and CifPredictorV3 are known.")
        reader = _reader(config.get("predictor_conf"), name, "predictor_conf")
        reader.only("idim", dim)
        reader.only("threshold", 1.0)
        times = kind == "CifPredictorV3"
        upsampling = reader.get("upsample_type", "cnn") if times else "cnn"
        if upsampling not in ("cnn", "cnn_blstm"):
            raise reader.error("upsample_type", upsampling, "; cnn and cnn_blstm are known.")
        return cls(
            left=reader.integer("l_order", least=0, most=_LONGEST_KERNEL),
            right=reader.integer("r_order", least=0, most=_LONGEST_KERNEL),
            smooth=reader.number("smooth_factor", 1.0, most=_MOST_A_FRAME),
            noise=reader.number("noise_threshold", 0.0),
            tail=reader.number("tail_threshold", 0.0, most=_MOST_A_FRAME),
            times=times,
            upsample=reader.integer("upsample_times", 5, most=_MOST_A_FRAME) if times else 1,
            recurrent=upsampling == "cnn_blstm",
            convolved=times and reader.typed("use_cif1_cnn", bool, True),
            smooth_times=reader.number("smooth_factor2", 1.0, most=_MOST_A_FRAME),
            noise_times=reader.number("noise_threshold2", 0.0),
        )


@dataclass(frozen=True, slots=True)
class ParaformerConfig:
    """The shape of the network, and the values that its outputs are read by.

    dim: numbers in one frame of the encoder, which has so many blocks, and heads in each. silent: ids that stand for no
    word (blank, start, end). start: the id which stands for "no hot word" among hot words. hotwords: the decoder of hot
    words, None where there is none. no_hotword: what that decoder says where none was said.
    """

    kind: str
    dim: int
    encoder_blocks: int
    encoder_heads: int
    vocabulary: int
    silent: tuple[int, ...]
    start: int
    decoder: DecoderConfig
    predictor: PredictorConfig
    hotwords: DecoderConfig | None
    no_hotword: int

    @property
    def scores_hotwords(self) -> bool:
        """True if its decoder of hot words is deep enough to choose among many."""
        return self.hotwords is not None and self.hotwords.attending >= SCORING_LAYERS

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], vocabulary: int, name: str, *, kinds: Sequence[str] = KINDS
    ) -> ParaformerConfig:
        """Read a FunASR `config.yaml`. vocabulary: how many tokens there are. name: for messages. kinds: known classes.

        Raises CheckpointError for a class, or a setting, that this network does not implement.
        """
        kind = str(config.get("model"))
        if kind not in kinds:
            raise CheckpointError(
                f"{name}: config.yaml describes the model {shown(kind)}; what is read here: {', '.join(kinds)}."
            )
        root = ConfigReader(config, name)
        for key, known in (("encoder", _ENCODERS[kind]), ("decoder", "ParaformerSANMDecoder"), ("normalize", None)):
            root.only(key, known, absent=None)
        encoder = _reader(config.get("encoder_conf"), name, "encoder_conf")
        dim = encoder.integer("output_size", 256)
        model = _reader(config.get("model_conf"), name, "model_conf")
        blank, start, end = (
            model.integer(word, default, least=0) for word, default in (("blank_id", 0), ("sos", 1), ("eos", 2))
        )
        decoder = DecoderConfig.from_config(config.get("decoder_conf"), name, "decoder_conf")
        predictor = PredictorConfig.from_config(config, name, dim)
        hotwords = _hotwords(config, model, dim, name) if kind == "SeacoParaformer" else None
        if kind == "BiCifParaformer" and not predictor.times:
            raise CheckpointError(f"{name}: a BiCifParaformer needs the predictor CifPredictorV3.")
        if max(blank, start, end) >= vocabulary:
            raise CheckpointError(
                f"{name}: model_conf has blank_id {blank}, sos {start} and eos {end}; with {vocabulary:,} tokens, "
                f"ids are below {vocabulary:,}."
            )
        for key, heads in (("decoder_conf", decoder.heads), ("seaco_decoder_conf", hotwords.heads if hotwords else 1)):
            if dim % heads:
                raise CheckpointError(f"{name}: {key}.attention_heads {heads} do not divide output_size {dim}.")
        return cls(
            kind=kind,
            dim=dim,
            encoder_blocks=encoder.integer("num_blocks", 6, most=MOST_LAYERS),
            encoder_heads=encoder.integer("attention_heads", 4, most=_MOST_HEADS),
            vocabulary=vocabulary,
            silent=(blank, start, end),
            start=start,
            decoder=decoder,
            predictor=predictor,
            hotwords=hotwords,
            no_hotword=model.integer("NO_BIAS", 8377),
        )


def _hotwords(config: Mapping[str, Any], model: ConfigReader, dim: int, name: str) -> DecoderConfig:
    model.only("inner_dim", dim, absent=256)
    model.only("bias_encoder_type", "lstm")
    model.only("bias_encoder_bid", False)
    model.only("share_embedding", False)
    if config.get("seaco_decoder") != "ParaformerSANMDecoder":
        raise CheckpointError(
            f"{name}: seaco_decoder is {shown(config.get('seaco_decoder'))}; only 'ParaformerSANMDecoder' is known."
        )
    _reader(config.get("seaco_decoder_conf"), name, "seaco_decoder_conf").only("use_output_layer", False, absent=True)
    return DecoderConfig.from_config(config["seaco_decoder_conf"], name, "seaco_decoder_conf")
