"""Run the benchmark; in a module of its own, because a new process cannot import the names of a __main__."""

from benchmarks.peers.run import main

main()
