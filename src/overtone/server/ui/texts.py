"""Every text of the page, in English and in Chinese: the one place for both."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, Literal, get_args

from overtone.output.plots.colors import short_label
from overtone.output.times import clock

Language = Literal["en", "zh"]

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

NAMES: Final[dict[Language, str]] = {"en": "English", "zh": "中文"}
"""Languages by their own names, as people look for them."""

TAGS: Final[dict[Language, str]] = {"en": "en", "zh": "zh-CN"}
"""As browsers name them."""

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "tagline": ("The emotion in speech", "听出语音里的情绪"),
    "served": ("Model {model}, {precision}, on {device}", "模型 {model}，{precision}，运行于 {device}"),
    "starting": ("The model is being loaded", "模型正在加载"),
    "language": ("Language", "语言"),
    "sign_in": ("Sign in with the name of your key, and the key.", "请用密钥的名称和密钥登录。"),
    "sign_out": ("Sign out {name}", "退出 {name}"),
    # What goes in.
    "files": ("Files", "文件"),
    "microphone": ("Microphone", "麦克风"),
    "drop": ("Drop audio or video here, or", "把音频或视频拖到这里，或"),
    "browse": ("Choose files", "选择文件"),
    "bounds": ("Up to {size} and {length} each, {count} at once", "每个不超过 {size}、{length}，一次最多 {count} 个"),
    "record": ("Record", "录音"),
    "end_recording": ("Stop recording", "停止录音"),
    "recording_name": ("Recording", "录音"),
    "recording_hint": ("Speak, then stop: the recording joins the list.", "说话后停止，录音会加入列表。"),
    "no_microphone": (
        "No microphone: allow it in the browser, and open this page over https or on the machine itself.",
        "无法使用麦克风：请在浏览器中允许，并通过 https 或在本机打开此页面。",
    ),
    "chosen": ("Chosen files", "已选文件"),
    "remove": ("Remove {name}", "移除 {name}"),
    # What is wanted.
    "granularity": ("Detail", "精细程度"),
    "utterance": ("Whole file", "整个文件"),
    "segment": ("Segments", "分段"),
    "frame": ("Every 20 ms", "每 20 毫秒"),
    "advanced": ("Advanced", "高级选项"),
    "cut": ("Cut long audio", "长音频的切分"),
    "vad": ("Where speech pauses", "在停顿处"),
    "window": ("Into equal windows", "等长窗口"),
    "max_segment": ("Longest segment, seconds", "最长分段（秒）"),
    "window_s": ("Window, seconds", "窗口长度（秒）"),
    "hop_s": ("A window every, seconds", "窗口间隔（秒）"),
    "as_window": ("as long as the window", "与窗口相同"),
    "channels": ("Channels", "声道"),
    "mix": ("Together", "合并"),
    "split": ("Each by itself", "分别"),
    "keep_silence": ("Judge silence too", "静音也判断"),
    "analyse": ("Analyse", "分析"),
    "stop": ("Stop", "停止"),
    "task": ("What to find out", "要做什么"),
    "emotion_task": ("Emotion", "情绪"),
    "transcribe_task": ("Transcript", "转写"),
    "spoken": ("Language of the speech", "语音的语言"),
    "spoken_auto": ("Found out", "自动判断"),
    "spoken_zh": ("Chinese", "中文"),
    "spoken_en": ("English", "英语"),
    "spoken_yue": ("Cantonese", "粤语"),
    "spoken_ja": ("Japanese", "日语"),
    "spoken_ko": ("Korean", "韩语"),
    "hotwords": ("Words to listen for, blanks between them", "热词（以空格分隔）"),
    "num_speakers": ("How many speak", "说话人数"),
    "found_out": ("found out", "自动判断"),
    # The files.
    "nothing": (
        "Choose files or record yourself, then press Analyse.",
        "请选择文件或录音，然后点击“分析”。",
    ),
    "none_chosen": ("Choose a file or record yourself first.", "请先选择文件或录音。"),
    "too_many": (
        "The first {count} are taken, which is the most at once; send the others afterwards, or as a job.",
        "一次最多 {count} 个，已取前 {count} 个；其余请稍后再传，或作为任务提交。",
    ),
    "file": ("File", "文件"),
    "length": ("Length", "时长"),
    "state": ("Result", "结果"),
    "counted": ("{done} of {all} done", "已完成 {done}/{all}"),
    "counted_failed": ("{done} of {all} done, {failed} failed", "已完成 {done}/{all}，失败 {failed}"),
    "sending": ("Uploading", "上传中"),
    "waiting": ("Waiting: {audio} of audio ahead, about {time}", "排队中：前面有 {audio} 音频，约 {time}"),
    "waiting_turn": ("Waiting for its turn", "等待中"),
    "running": ("Working …", "分析中……"),
    "running_left": ("Working, about {time} left", "分析中，约剩 {time}"),
    "failed": ("Failed", "失败"),
    "stopped": ("Stopped", "已停止"),
    "channel": ("channel {number}", "声道 {number}"),
    "show": ("Show {name}", "显示 {name}"),
    "gone": (
        "This result is not kept any more: analyse the file again.",
        "结果已不再保留：请重新分析该文件。",
    ),
    "expired": (
        "This page has been open for too long, or the service was started anew: reload it.",
        "页面打开太久，或服务已重启：请刷新页面。",
    ),
    # One result.
    "picture": ("Waveform and emotions over time", "波形与情绪时间线"),
    "scores_over_time": ("Scores over time", "得分随时间的变化"),
    "scores": ("Scores of the whole", "整体得分"),
    "shares": ("{shares} of {length} of speech", "{length}语音中：{shares}"),
    "others": ("others", "其他"),
    "timeline": ("The timeline as a table", "时间线表格"),
    "from": ("From", "开始"),
    "to": ("To", "结束"),
    "emotion": ("Emotion", "情绪"),
    "score": ("Score", "得分"),
    "and_more": ("and {count} more; the downloads have them all", "另有 {count} 条，下载文件中有全部"),
    "no_speech": ("Nobody speaks in it", "没有人说话"),
    "no_classes": ("This model tells no emotions, only embeddings", "此模型不判断情绪，只给出嵌入向量"),
    "merged": ("each colour: what fills most of {time}", "颜色：每 {time} 内占比最大的情绪"),
    "zoom": ("Zoom", "缩放"),
    "pan": ("Pan", "平移"),
    "zoom_in": ("Zoom in", "放大"),
    "zoom_out": ("Zoom out", "缩小"),
    "reset": ("Show all of it", "显示全部"),
    "save_picture": ("Save the picture", "保存图片"),
    "download": ("Download", "下载"),
    "download_all": ("All files", "全部文件"),
    "embedding": ("Embedding", "嵌入向量"),
    "transcript": ("Transcript", "转写文本"),
    "speaker": ("Speaker {number}", "说话人 {number}"),
    "speakers": ("{count} speakers", "{count} 位说话人"),
    # What went wrong.
    "too_long": (
        "It is longer than {length}, the most that is answered at once. Cut it, or send it as a job.",
        "时长超过 {length} 的上限。请剪短，或作为任务提交。",
    ),
    "too_large": (
        "It is larger than {size}, the most that is taken. Cut it, or compress it, as MP3 for example.",
        "文件超过 {size} 的上限。请剪短或压缩（例如 MP3）。",
    ),
    "busy": (
        "Others are being answered now. Try again in about {time}.",
        "服务正忙。请约 {time} 后再试。",
    ),
    "not_audio": (
        "It is no audio or video that can be read. Send WAV, MP3, M4A, FLAC, OGG or the like.",
        "无法识别为音频或视频。请上传 WAV、MP3、M4A、FLAC、OGG 等格式。",
    ),
    "no_audio": (
        "There is no sound in it, only pictures. Send a file with sound.",
        "文件里只有画面，没有声音。请上传有声音的文件。",
    ),
    "empty": ("The file is empty. Choose another.", "文件是空的。请选择其他文件。"),
    "too_short": ("It is too short to be judged. Send more of it.", "太短，无法判断。请上传更长的音频。"),
    "deadline": (
        "It was not answered in time and was given up. Send less at once, or a job.",
        "未能按时完成，已放弃。请一次少传一些，或作为任务提交。",
    ),
    "not_ready": (
        "The model is not ready. Try again in a few seconds.",
        "模型尚未就绪。请几秒后再试。",
    ),
    "no_space": (
        "The service has no room for uploads now. Try again later.",
        "服务器暂时没有空间接收上传。请稍后再试。",
    ),
    "upload_timeout": (
        "The upload came too slowly and was given up. Try again over a better connection.",
        "上传太慢，已放弃。请换更好的网络再试。",
    ),
    "lost": ("The upload did not arrive. Try again.", "上传没有到达。请再试一次。"),
    "unauthorized": ("The key is not valid any more. Sign in again.", "密钥已失效。请重新登录。"),
    "fault": (
        "The service met a fault of its own, which its log tells about. Try again.",
        "服务出现内部错误（详见其日志）。请再试一次。",
    ),
    "other": ("{message}", "无法处理：{message}"),
}
"""Texts by name: English, Chinese. What stands in braces is put in by `text`."""

EMOTIONS: Final[dict[str, tuple[str, str]]] = {
    "angry": ("Angry", "生气"),
    "anger": ("Anger", "愤怒"),
    "happy": ("Happy", "开心"),
    "happiness": ("Happiness", "快乐"),
    "joy": ("Joy", "喜悦"),
    "sad": ("Sad", "难过"),
    "sadness": ("Sadness", "悲伤"),
    "fearful": ("Fearful", "恐惧"),
    "fear": ("Fear", "害怕"),
    "disgusted": ("Disgusted", "厌恶"),
    "disgust": ("Disgust", "反感"),
    "surprised": ("Surprised", "吃惊"),
    "surprise": ("Surprise", "惊讶"),
    "neutral": ("Neutral", "中立"),
    "bored": ("Bored", "无聊"),
    "boredom": ("Boredom", "厌倦"),
    "calm": ("Calm", "平静"),
    "contempt": ("Contempt", "轻蔑"),
    "other": ("Other", "其他"),
    "unk": ("Unknown", "未知"),
    "unknown": ("Unknown", "未知"),
    "silence": ("Silence", "静音"),
}
"""Labels of models by their short names in small letters: English, Chinese."""


def text(language: Language, name: str, /, **values: object) -> str:
    """A text with its values put in."""
    return TEXTS[name][LANGUAGES.index(language)].format(**values)


def listed(language: Language, parts: Iterable[str]) -> str:
    """A list in a sentence."""
    return (", ", "、")[LANGUAGES.index(language)].join(parts)


def emotion(language: Language, label: str) -> str:
    """An emotion's name; a label that nobody has translated as the model has it."""
    short = short_label(label).strip("<> ")
    names = EMOTIONS.get(short.lower())
    return short.capitalize() if names is None else names[LANGUAGES.index(language)]


def language_of(accepted: str) -> Language:
    """The language that an `Accept-Language` header asks for first, of those there are; English for any other."""
    weighed: list[tuple[float, int, Language]] = []
    for place, part in enumerate(accepted.split(",")[:32]):
        tag, _, weight = part.partition(";")
        language = next((known for known in LANGUAGES if tag.strip().lower().split("-")[0] == known), None)
        if language is not None:
            weighed.append((-_weight(weight), place, language))
    return min(weighed)[2] if weighed else "en"


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0


def span(language: Language, seconds: float) -> str:
    """A length of time as it is said: `20 s`, `3 min`, `2 h`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} " + ("s", "秒")[LANGUAGES.index(language)]
    if seconds < 5400:
        return f"{round(seconds / 60)} " + ("min", "分钟")[LANGUAGES.index(language)]
    return f"{seconds / 3600:.3g} " + ("h", "小时")[LANGUAGES.index(language)]


def moment(seconds: float) -> str:
    """A time in a file: `1:05.3`."""
    return clock(seconds, 1)


def percent(score: float | None) -> str:
    """A score as people read it: `71%`."""
    return "" if score is None or not math.isfinite(score) else f"{score:.0%}"
