"""The engine that trains a method: turns, optimisers, processes, and everything that a resumed run needs."""
