"""cel: the language of conditions, a strict subset of CEL (https://github.com/google/cel-spec).

Source -> tokens (lexer) -> syntax tree (parser) -> checked tree (checker) -> Python code (codegen), and for errors and
traces the tree itself (evaluate). Knows nothing of requests: names and their values come from an Environment.
"""
