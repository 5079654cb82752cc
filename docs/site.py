"""What `make docs` adds to the pages of this folder: pages that lie elsewhere, and links that fit a site.

The files are written for readers of the repository. In the site, README.md is the first page, and a link to code is
plain text, because the site holds no code.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "weaknesses.md",
    "samples/README.md": "samples.md",
}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s:]+)\)|!\[([^\]]*)\]\(([^)\s:]+)\)")


def on_config(config: MkDocsConfig) -> None:
    """Write the pages of decisions out in the table of contents, which knows no patterns."""
    for section in config.nav or []:
        for pages in section.values():
            if "decisions/*.md" in pages:
                at = pages.index("decisions/*.md")
                names = sorted(path.name for path in (ROOT / "docs/decisions").glob("*.md"))
                pages[at : at + 1] = [{"Decisions": [f"decisions/{name}" for name in names]}]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere in the repository."""
    for source, page in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at pages of the site; a link to anything else becomes its text."""
    here = page.file.src_uri
    source = next((path for path, name in ELSEWHERE.items() if name == here), f"docs/{here}")

    def link(found: re.Match[str]) -> str:
        text, address = found[1] or found[3] or "", found[2] or found[4]
        path, mark, anchor = address.partition("#")
        if not path:
            return found[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        target = ELSEWHERE.get(target, target.removeprefix("docs/") if target.startswith("docs/") else "")
        if not target or files.get_file_from_path(target) is None:
            assert (ROOT / posixpath.dirname(source) / path).exists(), f"{source} has a link to {address}"
            return text
        way = posixpath.relpath(target, posixpath.dirname(here) or ".")
        return f"{'!' if found[4] else ''}[{text}]({way}{mark}{anchor})"

    return _LINK.sub(link, markdown)
