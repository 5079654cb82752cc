"""Reports as HTML: one file each, which opens anywhere: offline, in an email, in ten years.

Pictures and the style sheet are inside the page; it has no script, and its own security policy forbids a browser to
fetch anything. Jinja2 escapes every value; the templates lie beside the modules that fill them and share `page.html`
and `macros.html`.
"""

import base64
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.show.figures import MISSING, amount, change, decimals, duration, significant

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: object) -> str:
    """A complete HTML document.

    Args:
        template: path below `tasks/`, such as `night/page.html`.
        values: what it prints. A value that a template misses is an error.
    """
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # costs the command line 50 ms

    tasks = Path(__file__).parents[1]
    made = Environment(
        loader=FileSystemLoader(tasks),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    figures = (amount, change, decimals, duration, significant)
    made.filters |= {function.__name__: function for function in figures}
    made.filters |= {"base64": lambda data: base64.b64encode(data).decode(), "unbroken": _unbroken}
    made.globals |= {"style": (tasks / "show/report_style.css").read_text("utf-8"), "MISSING": MISSING}
    return made


def _unbroken(text: str) -> str:
    """Keep a unit on the line of its figure."""
    return text.replace(" %", "\xa0%").replace(" dB", "\xa0dB")
