"""The programs that ``nincc bench`` can time: ours and each peer, one module each.

Such a module is imported only in a worker process that times that one program, so that no peer's library is ever
in the process of another.
"""
