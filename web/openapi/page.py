"""The document as a page: Swagger UI, with everything it needs inside, so that nothing is loaded from anywhere.

The package that brings Swagger UI is not imported: that would keep three such pages in memory.
"""

import zlib
from base64 import b64encode
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

LEVEL = 6
GZIP = zlib.MAX_WBITS | 16

HEAD = b"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tutoring billing: API</title>
<link rel="icon" href="data:,">
"""
BODY = b"""
</head>
<body>
<div id="page"></div>
"""
END = b"""
</body>
</html>
"""
START = b"""
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  validatorUrl: null,
});
"""
"""Without `validatorUrl: null` the address of the document would be told to somebody's validator."""


class DocsPage(NamedTuple):
    """Packed, for nearly everybody takes it so, and unpacked it is as large as all else of this process's answers."""

    packed: bytes
    policy: str

    @classmethod
    def load(cls) -> "DocsPage":
        """Packed piece by piece: what a process once took it keeps."""
        style, bundle = _asset("swagger_style.css"), _asset("swagger_bundle.js")
        scripts = (b"<script>", bundle, b"</script>\n<script>", START, b"</script>")
        pieces = (HEAD, b"<style>", style, b"</style>", BODY, *scripts, END)
        packer = zlib.compressobj(LEVEL, wbits=GZIP)
        packed = b"".join([*(packer.compress(piece) for piece in pieces), packer.flush()])
        return cls(packed, _policy(bundle, START))

    @property
    def unpacked(self) -> bytes:
        return zlib.decompress(self.packed, wbits=GZIP)


def _asset(name: str) -> bytes:
    package = find_spec("offapi")
    if package is None or package.origin is None:
        raise FileNotFoundError(name)
    return Path(package.origin).with_name(name).read_bytes()


def _policy(*scripts: bytes) -> str:
    """These scripts and no others; Swagger UI writes its styles into the page."""
    sources = " ".join(f"'sha256-{b64encode(sha256(script).digest()).decode()}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
