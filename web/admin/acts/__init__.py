"""What staff can ask for on a page: each shows what it was made for, asks for a reason, and leaves an act."""
