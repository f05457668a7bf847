"""The templates of starlette-admin as a strict policy allows them: each script has the nonce of its answer.

Its pages set themselves up by inline scripts with data of the page in them, so neither a file nor a hash can replace
those. The two handlers in attributes, for which no nonce exists, become marks that a script of ours listens to.
"""

from collections.abc import Callable, Mapping

from jinja2 import BaseLoader, Environment, PackageLoader

ORIGINALS = "@starlette-admin/"
CHANGES: Mapping[str, str] = {
    "<script": '<script nonce="{{ request.scope.csp_nonce }}"',
    'onclick="applyColumnVisibility()"': 'data-admin-hook="apply-columns"',
    'onchange="window.location = this.value"': 'data-admin-hook="go-to-value"',
    # A link without an address is no button to a screen reader, and out of reach of keys.
    '<a class="btn-close" data-bs-dismiss="alert" aria-label="close"></a>': (
        '<button type="button" class="btn-close" data-bs-dismiss="alert" aria-label="Close"></button>'
    ),
}


class StrictTemplates(BaseLoader):
    def __init__(self) -> None:
        self._originals = PackageLoader("starlette_admin", "templates")

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        """Under its own name, and under the one by which a template of ours extends it."""
        source, path, is_fresh = self._originals.get_source(environment, template.removeprefix(ORIGINALS))
        for written, allowed in CHANGES.items():
            source = source.replace(written, allowed)
        return source, path, is_fresh
