"""Data Docs: what was expected and what was seen, as pages that open from a folder without a network.

Great Expectations' own pages load their styles and scripts from ten foreign hosts. Here they are stripped of them,
and an index that needs no script stands in front.
"""

import html
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pan_core.files import atomic_path
from pan_core.quality.findings import Finding, QualityResult, in_words
from pan_core.quality.gx_context import quiet

if TYPE_CHECKING:
    from pan_core.viewer.canvas import Picture

SITE = "data_docs"
STYLE_FILE = "style.css"

_FOREIGN = tuple(
    re.compile(pattern, re.DOTALL | re.IGNORECASE)
    for pattern in (
        r"<script\b.*?</script>",
        r"<footer\b.*?</footer>",
        r"<style\b.*?</style>",
        r"<link\b[^>]*>",
        r"<img\b[^>]*>",
        r"<title></title>",
    )
)

STYLE = """\
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; }
th, td { border: 1px solid #ddd; padding: .35rem .6rem; text-align: left; vertical-align: top; }
th { background: #f4f4f4; white-space: nowrap; }
td { overflow-wrap: anywhere; }
tr.failed td { background: #fdecea; }
.alert { background: #f4f4f4; padding: .6rem 1rem; margin: 1rem 0; }
.badge { display: inline-block; padding: .05rem .4rem; margin: 0 .1rem; border-radius: .3rem; background: #eee; }
.badge-info { background: #e2eefb; }
.text-success, .fa-check-circle { color: #1a7f37; }
.text-danger, .fa-times { color: #b42318; }
.fa-check-circle::before { content: "met"; font-style: normal; }
.fa-times::before { content: "not met"; font-style: normal; }
.cooltip .top, .sticky, .navbar-brand, .collapse, a[data-toggle="collapse"] { display: none; }
h5, h6 { font-size: 1rem; margin: .3rem 0; }
ul { padding-left: 1.2rem; }
img { display: block; max-width: 100%; height: auto; margin: 1rem 0; }
ol.breadcrumb { list-style: none; display: flex; gap: 1rem; padding: 0; }
"""


@dataclass(frozen=True)
class Front:
    """What stands on the index of Data Docs above its tables.

    Attributes:
        title: Of what they are.
        verdict: Follows the title.
        lead: Paragraphs.
        pictures: By name of the file, without its ending, that they are written to beside the pages.
    """

    title: str
    verdict: str
    lead: tuple[str, ...] = ()
    pictures: "Mapping[str, Picture]" = field(default_factory=dict)


def write_data_docs(result: QualityResult, folder: Path, front: Front | None = None) -> Path:
    """Write Data Docs of a check: static pages that need no network. The folder appears whole or not at all.

    Args:
        result: What was found.
        folder: Where the pages go; an existing folder is replaced.
        front: Head of the index; that of a dataset's quality if None.

    Returns:
        The index page. Beside it stand, for each suite, `SUITE.html` with what was seen and `SUITE_expected.html`.
    """
    front = front or _describe_dataset(result)
    with quiet(), atomic_path(folder) as partial, tempfile.TemporaryDirectory() as site:
        partial.mkdir()
        _build(result.context, Path(site))
        pages = {_flatten_name(page.relative_to(site)): page for page in Path(site).rglob("*.html")}
        for name in pages.keys() - {"index.html"}:
            (partial / name).write_text(_strip_foreign(pages[name].read_text(encoding="utf-8")), encoding="utf-8")
        (partial / STYLE_FILE).write_text(STYLE, encoding="utf-8")
        for name, picture in front.pictures.items():
            (partial / f"{name}.svg").write_text(picture.svg, encoding="utf-8")
        index = _write_index(result, front, sorted(pages.keys() - {"index.html"}))
        (partial / "index.html").write_text(index, encoding="utf-8")
    return folder / "index.html"


def _describe_dataset(result: QualityResult) -> Front:
    """Head of the pages of a dataset's quality."""
    met = f"{len(result.failed)} of {result.checked} are not met" if result.failed else "every expectation is met"
    return Front(
        "Dataset quality",
        met,
        ("A clip that breaks an expectation marked with * cannot be used and is in quarantine.",),
    )


def _build(context: Any, folder: Path) -> None:
    context.add_data_docs_site(
        site_name=SITE,
        site_config={
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
        },
    )
    context.build_data_docs(site_names=[SITE])
    context.delete_data_docs_site(SITE)


def _flatten_name(page: Path) -> str:
    # Great Expectations: validations/SUITE/RUN/TIME/BATCH.html and expectations/SUITE.html.
    if page.parts[0] == "validations":
        return f"{page.parts[1]}.html"
    return f"{page.stem}_expected.html" if page.parts[0] == "expectations" else page.name


def _strip_foreign(page: str) -> str:
    for pattern in _FOREIGN:
        page = pattern.sub("", page)
    page = re.sub(r'href="(?:\.\./)*([^"#:]+\.html)"', lambda link: f'href="{_flatten_name(Path(link[1]))}"', page)
    return page.replace("</head>", f'<link rel="stylesheet" href="{STYLE_FILE}">\n</head>', 1)


def _write_index(result: QualityResult, front: Front, pages: list[str]) -> str:
    groups = dict.fromkeys(finding.table for finding in result.findings)
    lead = "\n".join(f"<p>{html.escape(words)}</p>" for words in front.lead)
    pictures = "\n".join(
        f'<img src="{name}.svg" width="{picture.width}" alt="{html.escape(picture.alt)}">'
        for name, picture in front.pictures.items()
    )
    tables = "\n".join(_write_group(group, result, pages) for group in groups)
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{front.title}</title><link rel="stylesheet" href="{STYLE_FILE}"></head>
<body>
<h1>{front.title}: {html.escape(front.verdict)}</h1>
{lead}
{pictures}
{tables}
</body>
</html>
"""


def _write_group(group: str, result: QualityResult, pages: list[str]) -> str:
    findings = sorted((item for item in result.findings if item.table == group), key=lambda item: item.passed)
    rows = "\n".join(_write_row(finding) for finding in findings)
    links = ((f"{group}.html", "as Great Expectations saw it"), (f"{group}_expected.html", "what it expects"))
    listed = ", ".join(f'<a href="{page}">{words}</a>' for page, words in links if page in pages)
    return f"""<h2>{group.capitalize()}</h2>
<table>
<tr><th>Expectation</th><th>Met</th><th>Observed</th><th>Expected</th><th>For example</th></tr>
{rows}
</table>
<p>{listed}</p>"""


def _write_row(finding: Finding) -> str:
    cells = (
        finding.name + (" *" if finding.fatal else ""),
        "yes" if finding.passed else "no",
        finding.words or in_words(finding.observed),
        f"{finding.column}: {in_words(finding.expected)}",
        ", ".join(finding.examples),
    )
    mark = "" if finding.passed else ' class="failed"'
    return f"<tr{mark}>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
