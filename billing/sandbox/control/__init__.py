"""What tests and the local command line tell the sandbox, under `/_sandbox/`: without a key, from this machine only."""
