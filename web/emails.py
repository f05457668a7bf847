"""E-mail addresses in the one form in which they are compared, stored and counted."""

from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

EMAIL_LENGTH = 254


def normalised(address: str) -> str:
    """Trimmed and lower-cased; raises ValueError with a complaint where it is no address."""
    trimmed = address.strip().lower()
    if len(trimmed) > EMAIL_LENGTH:
        raise ValueError(f"must have at most {EMAIL_LENGTH} characters")
    return _checked(trimmed)


@lru_cache(maxsize=4096)
def _checked(address: str) -> str:
    """Names under .test are let through: nobody gets mail there, and every test suite has buyers there."""
    try:
        found = validate_email(address, check_deliverability=False, globally_deliverable=False, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError("must be an e-mail address") from error
    email = found.normalized.lower()
    if "." not in found.domain or len(email) > EMAIL_LENGTH:
        raise ValueError("must be an e-mail address")
    return email
