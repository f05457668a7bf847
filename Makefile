# A door to ./run, for those who type make. Everything works without make too: python3 run up
.PHONY: run test check lock

run:
	@python3 run up

test:
	@python3 run test

check:
	@python3 run check

lock:
	@python3 run lock
