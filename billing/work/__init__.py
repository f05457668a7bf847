"""Open rows: the queue of record. Accept, claim, finish, put off, give up, and what is overdue."""
