"""The receiving service: images in from a network, an analysis of each study, results handed on, nothing lost.

The file tree is the truth (`store`); the queue is read from it. See docs/decisions/0016-listener.md.
"""
