"""What gave up: worked anew, looked at first, put aside, or done with."""
