"""`python -m engram_agent` is `engram`."""

from engram_agent.cli import main

if __name__ == "__main__":
    main()
