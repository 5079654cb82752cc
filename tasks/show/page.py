"""The frame of every HTML report: one file that opens anywhere."""

from importlib.resources import files

ERROR_KEY = (
    '<span class="key"><i class="too-much"></i>alpha too high: background kept</span>'
    '<span class="key"><i class="too-little"></i>alpha too low: foreground lost</span>'
    '<span class="key"><i></i>equal</span> Brightness is the square root of the error.'
)


def document(title: str, body: str) -> str:
    """A complete HTML page in the style of all reports, which fetches nothing and runs nothing.

    Args:
        title: already escaped.
        body: HTML.
    """
    style = (files("tasks.show") / "report_style.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{style}</style></head>\n<body><main>{body}</main></body></html>\n"
    )


OPEN_UP_TO = 24  # images; a longer list starts folded
