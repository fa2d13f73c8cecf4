"""The documentation as a site: it is built without a warning, and all that it needs is its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import overtone
from helpers.command import environment
from helpers.paths import DOCS, ROOT

pytest.importorskip("mkdocs_static_i18n", reason="what makes the site is not installed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    made = build(ROOT / "mkdocs.yml", folder)
    assert made.returncode == 0, made.stdout
    return folder


def build(config: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", config, "--site-dir", folder],
        cwd=ROOT,
        env=environment(NO_MKDOCS_2_WARNING="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )


def test_every_page_is_in_it_and_in_the_navigation(site: Path):
    shown = (site / "index.html").read_text(encoding="utf-8")
    for page in DOCS.glob("*.md"):
        name, _, language = page.stem.partition(".")
        assert (site / language / f"{name}.html").is_file(), page.name
        assert f'href="{name}.html"' in shown, f"{page.name} is not in the navigation"


def test_links_out_of_the_pages_lead_to_what_was_brought_in(site: Path):
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue
        for link in re.findall(r'(?:href|src)="([^"#?]+)', page.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:", link):
                assert (page.parent / link).exists(), f"{page.relative_to(site)} leads to {link}"


def test_nothing_is_fetched_from_elsewhere(site: Path):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r'<(?:script|img|iframe|source)[^>]*src="(?:https?:)?//[^"]*"', text) == [], page.name
        styles = re.findall(r'<link[^>]*rel="(?:stylesheet|preconnect|preload|icon)"[^>]*>', text)
        assert [style for style in styles if "//" in style] == [], page.name


def test_the_reference_has_every_public_name_and_what_is_called(site: Path):
    page = (site / "api.html").read_text(encoding="utf-8")
    for name in {*overtone.__all__} - {"__version__"}:
        assert f'id="overtone.{name}"' in page
    for name in ("EmotionRecognizer.stream", "EmotionRecognizer.__call__", "Transcriber.results_for"):
        assert f'id="overtone.{name}"' in page


def test_languages_have_pages_of_their_own(site: Path):
    english, chinese = ((site / where / "models.html").read_text("utf-8") for where in ("", "zh"))
    assert '<html lang="en"' in english
    assert '<html lang="zh"' in chinese
    assert "选择模型" in chinese


def test_a_link_that_leads_nowhere_is_no_site(tmp_path: Path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# A\n\n[b](#nowhere)\n")
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    config = re.sub(r"^(nav|plugins|hooks):\n(?:[ -].*\n)+", "", config, flags=re.MULTILINE)
    (tmp_path / "mkdocs.yml").write_text(config, encoding="utf-8")
    made = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert made.returncode != 0
    assert "nowhere" in made.stdout
