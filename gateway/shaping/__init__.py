"""shaping: what may the client see of the answer?

Honours the obligations of a Permit on an upstream's answer: fields redacted or left out, answers that must fulfil a condition.
What cannot be inspected is refused, never passed. Knows core only.
"""
