"""One way to run work in processes and threads of its own, and to end it."""
