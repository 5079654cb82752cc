"""Reports as HTML: one file each, which opens anywhere: offline, in an email, in ten years.

Pictures and the style sheet are inside the page. Its own security policy forbids a browser to fetch anything, and to
run any script but the one that we put in, by its digest. Jinja2 escapes every value; the templates lie beside the
modules that fill them and share `page.html` and `macros.html`.
"""

import base64
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from tasks.show.figures import MISSING, amount, change, decimals, duration, significant

if TYPE_CHECKING:
    from jinja2 import Environment

_TASKS = Path(__file__).parents[1]


def render(template: str, script: str = "", **values: object) -> str:
    """A complete HTML document.

    Args:
        template: path below `tasks/`, such as `night/page.html`.
        script: path of the one script that it may run; it holds nothing of `values`.
        values: what it prints. A value that a template misses is an error.
    """
    source = (_TASKS / script).read_text("utf-8") if script else ""
    digest = base64.b64encode(sha256(source.encode()).digest()).decode()
    return _environment().get_template(template).render(script=source, script_hash=digest, **values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # costs the command line 50 ms

    made = Environment(
        loader=FileSystemLoader(_TASKS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    figures = (amount, change, decimals, duration, significant)
    made.filters |= {function.__name__: function for function in figures}
    made.filters["digest"] = lambda data: f"{crc32(data):08x}"
    made.filters |= {"base64": lambda data: base64.b64encode(data).decode(), "unbroken": _unbroken}
    made.globals |= {"style": (_TASKS / "show/report_style.css").read_text("utf-8"), "MISSING": MISSING}
    return made


def _unbroken(text: str) -> str:
    """Keep a unit on the line of its figure."""
    return text.replace(" %", "\xa0%").replace(" dB", "\xa0dB")
