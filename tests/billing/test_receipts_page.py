"""The page prints whatever people are called, and the same facts are the same file for ever."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from billing.receipts.facts import Facts, Seller
from billing.receipts.page import FONT_FILE, print_receipt
from tests.support.receipts import lines_of

AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SELLER = Seller(name="Explicações Lda", address="Rua Áurea 1\n1100-053 Lisboa", vat_number="PT123456789")


def facts(**changes: Any) -> Facts:
    given: dict[str, Any] = {
        "seller": SELLER,
        "vat_rate_percent": Decimal("23.00"),
        "vat_cents": 2_618,
        "buyer_name": "Ana Lúcia",
        "buyer_email": "ana@example.com",
        "plan_name": "Standard Package",
        "minutes": 600,
        "price_cents": 14_000,
        "currency": "eur",
        "paid_at": AT,
        "paid_on": date(2026, 3, 2),
        "issued_on": date(2026, 3, 3),
        "transaction_id": 41,
        "payment_intent_id": "pi_3Q",
    }
    return Facts(**{**given, **changes})


def printed(invoice_ref: str | None = None, **changes: Any) -> bytes:
    return print_receipt("R-2026-000123", facts(**changes), issued_at=AT, invoice_ref=invoice_ref)


def test_the_page_says_what_was_paid() -> None:
    """Everything that a buyer, a guardian or a tax office asks of a confirmation of payment."""
    assert lines_of(printed("FT 2026/17")) == [
        "Payment confirmation – not an invoice",
        "This page confirms that a payment was received. It is not a tax invoice.",
        *("Receipt number", "R-2026-000123", "Date of issue", "2026-03-03"),
        *("Seller", "Explicações Lda", "Rua Áurea 1", "1100-053 Lisboa", "VAT number", "PT123456789"),
        *("Received from", "Ana Lúcia", "ana@example.com", "For", "Standard Package", "10.00 hours"),
        *("Amount paid", "EUR 140.00", "Includes VAT 23%", "EUR 26.18", "Date of payment", "2026-03-02"),
        *("Transaction", "41", "Payment reference", "pi_3Q", "Invoice", "FT 2026/17"),
    ]


def test_what_is_not_known_is_not_mentioned() -> None:
    """No empty VAT line: a seller without a rate says nothing of taxes."""
    bare = Seller(name="Tutors", address="", vat_number="")
    lines = lines_of(printed(seller=bare, vat_rate_percent=None, vat_cents=None))
    assert {"VAT number", "Invoice"} & set(lines) == set()
    assert [line for line in lines if "VAT" in line] == []
    assert lines[lines.index("Seller") + 1 :][:2] == ["Tutors", "Received from"]


def test_a_rate_of_nothing_is_a_rate() -> None:
    lines = lines_of(printed(vat_rate_percent=Decimal("0.00"), vat_cents=0))
    assert lines[lines.index("Includes VAT 0%") + 1] == "EUR 0.00"


@pytest.mark.parametrize(("rate", "shown"), [("6.50", "6.5"), ("20.00", "20"), ("100", "100"), ("7.75", "7.75")])
def test_a_rate_is_written_as_people_write_it(rate: str, shown: str) -> None:
    assert f"Includes VAT {shown}%" in lines_of(printed(vat_rate_percent=Decimal(rate)))


LEFT_TO_RIGHT = {
    "Latin": "Łukasz Nguyễn-Ørsted",
    "Greek": "Ελευθερία Παπαδοπούλου",
    "Cyrillic": "Ольга Жуковська",
    "Armenian": "Հայկ Պետրոսյան",
    "Georgian": "გიორგი ბერიძე",
    "Lao": "ສົມພອນ",
    "Tifinagh": "ⵎⴰⵙⵉⵏⵉⵙⴰ",
    "Inuktitut": "ᐃᓄᒃᑎᑐᑦ",
}
RIGHT_TO_LEFT = {"Hebrew": "נועה לוי", "Arabic": "محمد بن سالم", "N'Ko": "ߒߞߏ"}


@pytest.mark.parametrize("script", LEFT_TO_RIGHT)
def test_a_name_prints_in_its_script(script: str) -> None:
    assert LEFT_TO_RIGHT[script] in lines_of(printed(buyer_name=LEFT_TO_RIGHT[script]))


@pytest.mark.parametrize("script", RIGHT_TO_LEFT)
def test_a_name_that_runs_from_the_right_prints_in_its_script(script: str) -> None:
    """On the page its last letter stands first from the left; readers of text give it either way."""
    lines = lines_of(printed(buyer_name=RIGHT_TO_LEFT[script]))
    name = lines[lines.index("Received from") + 1]
    assert RIGHT_TO_LEFT[script] in (name, name[::-1])


def test_a_name_that_the_font_lacks_is_marked_and_never_fails() -> None:
    """The mail address still says whose it is."""
    lines = lines_of(printed(buyer_name="李小龍 राम"))
    assert lines[lines.index("Received from") + 1] == "\ufffd\ufffd\ufffd \ufffd\ufffd\ufffd"
    assert "ana@example.com" in lines


TEXT = st.text(st.characters(codec="utf-8"), max_size=254)


@settings(max_examples=60, deadline=None)
@given(TEXT, TEXT, TEXT, TEXT)
def test_any_text_prints(name: str, email: str, plan: str, invoice: str) -> None:
    """One name that cannot be printed would keep its buyer without a receipt for ever."""
    pdf = printed(invoice, buyer_name=name, buyer_email=email, plan_name=plan)
    assert len(PdfReader(BytesIO(pdf)).pages) == 1


def test_long_text_is_wrapped_and_nothing_of_it_lost() -> None:
    """Between words where there are some, else anywhere."""
    email = f"{'x' * 242}@example.com"
    name = " ".join(["Maria"] * 25)
    lines = lines_of(printed(buyer_name=name, buyer_email=email))
    shown = lines[lines.index("Received from") + 1 : lines.index("For")]
    last_of_name = max(place for place, line in enumerate(shown) if "Maria" in line) + 1
    assert " ".join(shown[:last_of_name]) == name
    assert "".join(shown[last_of_name:]) == email


AGAIN = "import sys; from tests.billing.test_receipts_page import printed; sys.stdout.buffer.write(printed())"


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_same_facts_are_the_same_bytes(seed: str) -> None:
    """In another process, in another zone, whatever the order of its sets."""
    variables = {**os.environ, "PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo"}
    again = subprocess.run([sys.executable, "-c", AGAIN], capture_output=True, check=True, env=variables)
    assert again.stdout == printed()


def test_other_facts_are_other_bytes() -> None:
    assert printed() != printed(price_cents=14_001)


def test_the_file_is_dated_by_its_issue() -> None:
    """What a viewer shows of it is what the page says, and nothing of the machine that printed it."""
    known = PdfReader(BytesIO(printed())).metadata
    assert known is not None
    assert (known.title, known.author, known.creation_date) == ("R-2026-000123", "Explicações Lda", AT)


def test_the_page_is_a4_and_brings_its_letters() -> None:
    """A reader without our font sees the same."""
    page = PdfReader(BytesIO(printed())).pages[0]
    assert (round(page.mediabox.width), round(page.mediabox.height)) == (595, 842)
    resources: Any = page["/Resources"]
    fonts = [one.get_object() for one in resources["/Font"].values()]
    assert any("DejaVu" in font["/BaseFont"] and "/FontFile2" in font["/FontDescriptor"] for font in fonts)
    assert len(printed()) < FONT_FILE.stat().st_size / 10


def test_the_font_comes_with_its_licence() -> None:
    assert FONT_FILE.stat().st_size < 800_000
    assert "Bitstream Vera" in (FONT_FILE.parent / "DejaVuSans.LICENSE.txt").read_text()
