"""What is on the page and where, in one language at a time."""

from __future__ import annotations

from collections.abc import Collection
from importlib import resources
from typing import Any, Final

import gradio as gr

from overtone.options.emotion import Options
from overtone.server.inference.models import Task
from overtone.server.ui import markup
from overtone.server.ui.errors import Limits
from overtone.server.ui.texts import LANGUAGES, NAMES, Language, text

GRANULARITIES: Final = ("utterance", "segment", "frame")
CUTS: Final = ("vad", "window")
CHANNELS: Final = ("mix", "split")
TASKS: Final[tuple[Task, ...]] = ("emotion", "transcribe")
SPOKEN: Final = ("auto", "zh", "en", "yue", "ja", "ko")

_CHOOSES: Final = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-show]");
  if (button) trigger("select", {place: button.dataset.show});
});
watch("value", () => overtone.told(element));
"""

Changes = dict[Any, Any]
"""What is to change of the page: components and their new values."""


def asset(name: str) -> str:
    """A file that belongs to the page."""
    return (resources.files(__package__) / "assets" / name).read_text(encoding="utf-8")


def theme() -> gr.Theme:
    """Quiet, with the fonts of whoever looks at it: none is fetched."""
    sans = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC",
            "sans-serif")  # fmt: skip
    return gr.themes.Base(
        primary_hue=gr.themes.colors.blue,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        font=sans,
        font_mono=("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"),
    ).set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        body_text_color_subdued="*neutral_500",
    )


class Layout:
    """The components of the page. Texts are put in by `texts`, for all of them at once. writes: whether speech can be
    written down, too."""

    def __init__(self, limits: Limits, *, writes: bool = False) -> None:
        self._limits, self._writes = limits, writes
        with gr.Blocks(title="Overtone", analytics_enabled=False, fill_width=True) as self.blocks:
            self.ticket = gr.Textbox(visible=False)
            self.facts = gr.Textbox(visible=False)
            with gr.Row(elem_id="ot-top"):
                self.heading = _html()
                self.language = gr.Radio(
                    [(NAMES[language], language) for language in LANGUAGES],
                    elem_id="ot-language",
                    container=False,
                    min_width=150,
                    scale=0,
                )
            with gr.Row(elem_id="ot-columns"):
                with gr.Column(scale=4, min_width=300, elem_id="ot-in"):
                    self._inputs()
                with gr.Column(scale=8, min_width=300, elem_id="ot-out"):
                    self._outputs()

    def _inputs(self) -> None:
        with gr.Tabs():
            with gr.Tab() as self.files_tab:
                self.picker = _html()
            with gr.Tab() as self.microphone_tab:
                self.recorder = _html()
        self.chosen = _html()
        self.task = gr.Radio(list(TASKS), value="emotion", elem_id="ot-task", visible=self._writes)
        self.granularity = gr.Radio(elem_id="ot-granularity")
        self.spoken = gr.Dropdown(list(SPOKEN), value="auto", visible=False, elem_id="ot-spoken-language")
        with gr.Accordion(open=False) as self.advanced:
            with gr.Column() as self.hearing:
                self.cut = gr.Radio()
                # Text, as a field for numbers has no way to be empty.
                self.max_segment = gr.Textbox(max_length=10)
                with gr.Row(visible=False) as self.windows:
                    self.window = gr.Textbox(max_length=10, min_width=120)
                    self.hop = gr.Textbox(max_length=10, min_width=120)
                self.keep_silence = gr.Checkbox()
            with gr.Column(visible=False) as self.writing:
                self.hotwords = gr.Textbox(max_length=2000, visible=False)
                self.num_speakers = gr.Textbox(max_length=3, visible=False)
            self.channels = gr.Radio()
        with gr.Row(elem_id="ot-buttons"):
            self.analyse = gr.Button(variant="primary", min_width=120, elem_id="ot-analyse")
            self.stop = gr.Button(variant="stop", min_width=90, visible=False, elem_id="ot-stop")

    def _outputs(self) -> None:
        self.files = _html(js_on_load=_CHOOSES, elem_id="ot-table")
        with gr.Column(visible=False, elem_id="ot-panel") as self.panel:
            self.verdict = _html()
            self.picture = gr.Plot(elem_id="ot-picture")
            self.details = _html()

    @property
    def options(self) -> dict[str, Any]:
        """The components of the options of a call, by their names."""
        return {
            "granularity": self.granularity,
            "segment": self.cut,
            "max_segment": self.max_segment,
            "window": self.window,
            "hop": self.hop,
            "channels": self.channels,
            "keep_silence": self.keep_silence,
        }

    @property
    def spoken_options(self) -> dict[str, Any]:
        """The same for transcription."""
        return {
            "language": self.spoken,
            "hotwords": self.hotwords,
            "num_speakers": self.num_speakers,
            "channels": self.channels,
        }

    @property
    def tasks(self) -> list[Any]:
        """The parts of the page that belong to one task."""
        return [self.granularity, self.hearing, self.spoken, self.writing]

    def asking(self, task: str, takes: Collection[str]) -> Changes:
        """Those that belong to this one. takes: options that the recognizer can do something with."""
        writes = task == "transcribe"
        return {
            self.granularity: gr.update(visible=not writes),
            self.hearing: gr.update(visible=not writes),
            self.spoken: gr.update(visible=writes and "language" in takes),
            self.writing: gr.update(visible=writes),
        }

    def cutting(self, how: str) -> Changes:
        """The fields that belong to a way of cutting."""
        return {self.max_segment: gr.update(visible=how != "window"), self.windows: gr.update(visible=how == "window")}

    @property
    def results(self) -> list[Any]:
        """The components that show what came out."""
        return [self.files, self.analyse, self.stop, self.panel, self.verdict, self.picture, self.details]

    def texts(self, language: Language, base: Options, takes: Collection[str] = ()) -> Changes:
        """All that stands on the page before anything is asked of it. base: what holds where nothing is said. takes: as
        `asking`."""

        def said(name: str) -> str:
            return text(language, name)

        return {
            self.language: gr.update(label=said("language")),
            self.picker: markup.picker(language, self._limits),
            self.recorder: markup.recorder(language),
            self.chosen: markup.chosen(language),
            self.files_tab: gr.update(label=said("files")),
            self.microphone_tab: gr.update(label=said("microphone")),
            self.task: gr.update(
                label=said("task"), choices=[(said(f"{task}_task"), task) for task in TASKS], visible=self._writes
            ),
            self.spoken: gr.update(
                label=said("spoken"), choices=[(said(f"spoken_{spoken}"), spoken) for spoken in SPOKEN]
            ),
            self.hotwords: gr.update(label=said("hotwords"), visible="hotwords" in takes),
            self.num_speakers: gr.update(
                label=said("num_speakers"), placeholder=said("found_out"), visible="num_speakers" in takes
            ),
            self.granularity: _choice("granularity", GRANULARITIES, language),
            self.advanced: gr.update(label=said("advanced")),
            self.cut: _choice("cut", CUTS, language),
            self.max_segment: gr.update(label=said("max_segment"), placeholder=f"{base.max_segment:g}"),
            self.window: gr.update(label=said("window_s"), placeholder=f"{base.window:g}"),
            self.hop: gr.update(label=said("hop_s"), placeholder=said("as_window")),
            self.channels: _choice("channels", CHANNELS, language),
            self.keep_silence: gr.update(label=said("keep_silence")),
            self.analyse: gr.update(value=said("analyse")),
            self.stop: gr.update(value=said("stop")),
            self.picture: gr.update(label=said("picture")),
        }


def _html(**given: Any) -> gr.HTML:
    """HTML that looks as the page's own style says, and no other."""
    return gr.HTML(**{"js_on_load": None, "apply_default_css": False, **given})


def _choice(name: str, values: tuple[str, ...], language: Language) -> Any:
    return gr.update(label=text(language, name), choices=[(text(language, value), value) for value in values])
