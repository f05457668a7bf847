"""A receipt as a PDF of one page: the same facts give the same bytes, and any text prints.

No clock, no chance, no network: the date inside the file is that of issue.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from threading import Lock

from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from billing.reads.written import euros, hours
from billing.receipts.facts import Facts
from billing.receipts.lettering import in_sight_order, printable

FONT = "DejaVuSans"
FONT_FILE = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
TITLE = "Payment confirmation – not an invoice"
NOTE = "This page confirms that a payment was received. It is not a tax invoice."

WIDTH, HEIGHT = A4
MARGIN, VALUES = 60.0, 190.0
"""Where a line begins, and where what stands behind its name."""

TEXT_SIZE, TITLE_SIZE, LEADING, GAP = 10.5, 16.0, 15.0, 9.0

# The font's reader has one position for all threads.
ONE_AT_A_TIME = Lock()


Field = tuple[str, Sequence[str]]
"""A name, and the lines behind it; what is empty is left out."""


def print_receipt(number: str, facts: Facts, *, issued_at: datetime, invoice_ref: str | None = None) -> bytes:
    """`invoice_ref` is the name of the invoice in the system that makes those."""
    file = BytesIO()
    with ONE_AT_A_TIME:
        page = _Page(file, number, facts.seller.name, issued_at)
        for group in _groups(number, facts, invoice_ref):
            page.write_group(group)
        page.close()
    return file.getvalue()


def _groups(number: str, facts: Facts, invoice_ref: str | None) -> Iterator[Sequence[Field]]:
    seller = facts.seller
    yield ("Receipt number", [number]), ("Date of issue", [facts.issued_on.isoformat()])
    yield ("Seller", [seller.name, *seller.address.splitlines()]), ("VAT number", [seller.vat_number])
    yield (
        ("Received from", [facts.buyer_name, facts.buyer_email]),
        ("For", [facts.plan_name, f"{hours(facts.minutes)} hours"]),
    )
    yield (
        ("Amount paid", [_money(facts.price_cents, facts.currency)]),
        _vat(facts),
        ("Date of payment", [facts.paid_on.isoformat()]),
        ("Transaction", [str(facts.transaction_id)]),
        ("Payment reference", [facts.payment_intent_id]),
        ("Invoice", [invoice_ref or ""]),
    )


def _vat(facts: Facts) -> Field:
    if facts.vat_rate_percent is None or facts.vat_cents is None:
        return "", []
    return f"Includes VAT {facts.vat_rate_percent.normalize():f}%", [_money(facts.vat_cents, facts.currency)]


def _money(cents: int, currency: str) -> str:
    return f"{currency.upper()} {euros(cents)}"


@cache
def _font() -> TTFont:
    font = TTFont(FONT, BytesIO(FONT_FILE.read_bytes()))
    pdfmetrics.registerFont(font)
    return font


class _Page:
    def __init__(self, file: BytesIO, number: str, author: str, issued_at: datetime) -> None:
        self._glyphs = _font().face.charToGlyph
        self._canvas = Canvas(file, pagesize=A4, pageCompression=1, invariant=1, lang="en")
        date = f"{issued_at.astimezone(UTC):D:%Y%m%d%H%M%SZ}"
        self._canvas.setDateFormatter(lambda *_: date)
        self._canvas.setTitle(number)
        self._canvas.setSubject(TITLE)
        self._canvas.setAuthor(author)
        self._y = HEIGHT - MARGIN
        self._write(TITLE, TITLE_SIZE)
        self._y -= GAP
        self._write(NOTE)

    def write_group(self, fields: Sequence[Field]) -> None:
        self._y -= GAP
        for name, lines in fields:
            if any(lines):
                self._write_field(name, [line for line in lines if line])

    def close(self) -> None:
        self._canvas.showPage()
        self._canvas.save()

    def _write_field(self, name: str, lines: Sequence[str]) -> None:
        self._canvas.setFont(FONT, TEXT_SIZE)
        self._canvas.drawString(MARGIN, self._y, name)
        for line in lines:
            self._write(line, left=VALUES)

    def _write(self, text: str, size: float = TEXT_SIZE, left: float = MARGIN) -> None:
        """As many lines as it takes."""
        self._canvas.setFont(FONT, size)
        for line in self._wrapped(printable(text, self._glyphs), size, WIDTH - MARGIN - left):
            self._canvas.drawString(left, self._y, in_sight_order(line, self._glyphs))
            self._y -= LEADING * size / TEXT_SIZE

    def _wrapped(self, text: str, size: float, width: float) -> Iterator[str]:
        """Between words, and within one that is longer than a line."""
        line = ""
        for word in text.split():
            longer = f"{line} {word}".strip()
            if line and self._width(longer, size) > width:
                yield line
                longer = word
            while self._width(longer, size) > width:
                fitting = next(end for end in range(len(longer), 0, -1) if self._width(longer[:end], size) <= width)
                yield longer[:fitting]
                longer = longer[fitting:]
            line = longer
        yield line

    def _width(self, text: str, size: float) -> float:
        return _font().stringWidth(text, size)
