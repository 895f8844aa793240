"""Figures as images that fit into a page: SVG where it is small, else PNG."""

from __future__ import annotations

import base64
import io
import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from clvmodels.diagnostics.record import Figure
from clvmodels.reporting.values import clean
from clvmodels.threads import one_at_a_time

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

Draw = Callable[[Figure], "Drawing"]

MAX_LABEL: Final = 60  # letters
MAX_SVG_BYTES: Final = 120_000
MAX_FIGURE_BYTES: Final = 2_800_000  # of all figures of one page
_PNG_DPI: Final = 144
_SVG: Final = "http://www.w3.org/2000/svg"
_XLINK: Final = "http://www.w3.org/1999/xlink"
_FONTS: Final = "'DejaVu Sans', Verdana, 'Segoe UI', Helvetica, Arial, sans-serif"
_RC: Final[dict[str, Any]] = {
    "svg.hashsalt": "clvmodels",  # the same record gives the same bytes
    "svg.fonttype": "none",  # text stays text, so that browsers find glyphs for any script
    "font.family": ["DejaVu Sans"],
    "path.simplify": True,
    "figure.facecolor": "none",  # the page's own ground
    "axes.facecolor": "none",
    "savefig.facecolor": "auto",
    "savefig.pad_inches": 0.08,
    "legend.facecolor": "white",
}
# A hundredth of a point is less than can be seen, and a third of the letters less
_PLACES: Final = {"d", "x", "y"}
_LONG: Final = re.compile(r"-?\d+\.\d{3,}")
# matplotlib 3.10 writes the shorthand, which is not an attribute of SVG
_FONT: Final = re.compile(
    r"(?:(?P<style>italic|oblique) )?(?:(?P<weight>\w+) )?(?P<size>[\d.]+)px "
)


@dataclass(frozen=True, slots=True)
class Picture:
    """One image.

    Attributes
    ----------
    uri : str
        A data URI.
    width, height : int
        In CSS pixels, as drawn.
    """

    uri: str
    width: int
    height: int


@one_at_a_time("matplotlib")
def make_picture(figure: Figure, draw: Draw, *, max_bytes: int = MAX_SVG_BYTES) -> Picture:
    """Draw a figure as an image, in inks that follow the reader's choice of light or dark.

    Parameters
    ----------
    figure : Figure
        Of a report.
    draw : callable
        Makes a matplotlib figure of it.
    max_bytes : int
        An SVG larger than this becomes a PNG of few colours.
    """
    import matplotlib as mpl

    from clvmodels.plots.inks import dark_style

    with mpl.rc_context(_RC), warnings.catch_warnings():
        # names in scripts that the font lacks: the browser has others
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # labels so long that nothing is left for the axes
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        drawing = draw(replace(figure, data=_spoken(figure.data)))
        svg = plain_svg(_save(drawing, "svg"), style=dark_style())
        width, height = (round(inches * 96) for inches in _inches(svg))
        if len(svg) <= max_bytes:
            return Picture(_uri("image/svg+xml", svg), width, height)
        return Picture(_uri("image/png", _few_colours(_save(drawing, "png"))), width, height)


def make_pictures(
    figure: Figure, draw: Draw, *, max_bytes: int = MAX_SVG_BYTES
) -> tuple[Picture, ...]:
    """Draw a figure as one image, or as one for each of its panels, which a narrow page stacks."""
    for name in ("parameters", "pairs"):
        panels = figure.data.get(name)
        if isinstance(panels, list) and len(panels) > 1 and isinstance(panels[0], Mapping):
            parts = (replace(figure, data={**figure.data, name: [one]}) for one in panels)
            return tuple(make_picture(one, draw, max_bytes=max_bytes) for one in parts)
    return (make_picture(figure, draw, max_bytes=max_bytes),)


def limit_each(figures: int) -> int:
    """Largest SVG, in bytes, of a page with so many figures."""
    return min(MAX_SVG_BYTES, MAX_FIGURE_BYTES // max(figures, 1))


def plain_svg(svg: bytes, *, style: str = "") -> bytes:
    """Put matplotlib's SVG into a form that a strict Content-Security-Policy lets through.

    Styles become attributes, since inline styles are not allowed; comments and metadata go. One
    style sheet may be given, which the policy allows.
    """
    root = ElementTree.fromstring(clean(svg.decode("utf-8")))
    for parent in root.iter():
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}style", f"{{{_SVG}}}metadata"):
                parent.remove(child)
    for element in root.iter():
        for name, value in _declarations(element.attrib.pop("style", "")):
            element.set(name, value)
        for name in _PLACES & element.attrib.keys():
            element.set(name, _LONG.sub(_rounded, element.attrib[name]))
    # what the style sheet of matplotlib says of every element
    root.set("stroke-linejoin", "round")
    root.set("stroke-linecap", "butt")
    root.set("font-family", _FONTS)
    if style:
        sheet = ElementTree.Element(f"{{{_SVG}}}style")
        sheet.text = style
        root.insert(0, sheet)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode").encode("utf-8")


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _declarations(style: str) -> list[tuple[str, str]]:
    pairs = [part.partition(":")[::2] for part in style.split(";") if ":" in part]
    found: list[tuple[str, str]] = []
    for name, value in ((name.strip(), value.strip()) for name, value in pairs):
        if name == "font":
            found += _font(value)
        elif name != "font-family":  # the root's
            found.append((name, value))
    return found


def _font(value: str) -> list[tuple[str, str]]:
    match = _FONT.match(value)
    if match is None:
        raise ValueError(f"matplotlib wrote a font that is not understood: {value!r}")
    parts = {"font-style": match["style"], "font-weight": match["weight"]}
    return [("font-size", f"{match['size']}px"), *((n, v) for n, v in parts.items() if v)]


def _save(drawing: Drawing, kind: str) -> bytes:
    file = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    if kind == "svg" and drawing.get_layout_engine():
        from matplotlib.backends.backend_svg import FigureCanvasSVG

        # savefig would draw twice, first to find out how much room is needed: the layout knows
        FigureCanvasSVG(drawing).print_svg(file, metadata=metadata)
        return file.getvalue()
    room = None if drawing.get_layout_engine() else "tight"
    drawing.savefig(file, format=kind, dpi=_PNG_DPI, bbox_inches=room, metadata=metadata)
    return file.getvalue()


def _inches(svg: bytes) -> tuple[float, float]:
    size = ElementTree.fromstring(svg).attrib
    width, height = (float(size[name].removesuffix("pt")) / 72 for name in ("width", "height"))
    return width, height


def _few_colours(png: bytes) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        white = Image.new("RGBA", image.size, "white")
        flat = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    file = io.BytesIO()
    flat.quantize(colors=128, dither=Image.Dither.NONE).save(file, format="PNG", optimize=True)
    return file.getvalue()


def _spoken(data: Any) -> Any:
    """Data whose texts can be labels: short, and with dollar signs that begin no formula."""
    if isinstance(data, str):
        short = data if len(data) <= MAX_LABEL else f"{data[: MAX_LABEL - 3]}..."
        return clean(short).replace("$", r"\$")
    if isinstance(data, Mapping):
        return {key: _spoken(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_spoken(value) for value in data]
    return data


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
