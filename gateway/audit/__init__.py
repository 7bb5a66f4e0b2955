"""audit: write down what happened, once for each request.

Takes exchanges and named events; gives JSON lines in a file or on standard output. `event` knows what a line says, `trail`
keeps the queue between the event loop and the writer, `file` knows the disk. Refuses work when evidence cannot be kept.
"""
