"""One memory for agents: what the situation was, what was done and what came of it."""
