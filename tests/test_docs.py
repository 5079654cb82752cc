"""The docs hold: every command in them is one that capmat knows, and the site builds without a broken link."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from flows.command.main import WORDS, build_parser
from tests.project import ROOT

PAGES = [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md", ROOT / "samples/README.md"]
_COMMAND = re.compile(r"^ {4,}(?:[A-Z_]+=\S+ )*capmat (.*)$", re.M)


def commands():
    for page in PAGES:
        for found in _COMMAND.finditer(page.read_text().replace("\\\n", " ")):
            yield pytest.param(found[1].split(" # ")[0].split(" | ")[0].strip(), id=f"{page.name}: {found[1][:50]}")


@pytest.mark.parametrize("command", commands())
def test_every_command_of_the_docs_is_understood(command):
    words = shlex.split(command.removesuffix("...").replace("...", "text"))
    if not set(words) & set(WORDS):  # the rest was left out
        words.append("status")
    build_parser().parse_args(words)  # leaves with a sentence if it does not understand


def test_the_site_builds_and_no_link_is_broken(tmp_path):
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "site/index.html").read_text()
    assert "five commands" in index
    loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?:[^"]+)"', index)
    assert not loaded, "the site loads nothing from elsewhere"
