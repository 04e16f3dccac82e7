"""HTML pages out of the templates that lie beside the code that writes them."""

import jinja2


def templates(package: str) -> jinja2.Environment:
    """Templates of a package: everything is escaped, and a name that a template misspells is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
