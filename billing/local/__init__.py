"""Everything on one machine: embedded PostgreSQL and Valkey, and the supervisor that runs the Procfile.

Only `billing up` and the test-suite come here. The servers' programs are taken from the wheels of the extra `local`
(or from this machine) and started by us: the wheels' own starters add users, open parent folders and leave orphans.
"""
