"""Signed meter values: kept as they came, understood on a copy, checked against the key of their meter. Pure.

- ``envelope``  the shapes in which chargers hand them over: raw, hexadecimal, JSON, base64
- ``ocmf``      one OCMF record, with the very bytes that were signed
- ``keys``      public keys as people and chargers write them; curves by name
- ``check``     one value and one key to a verdict
- ``book``      the keys known of each meter, the pages seen, and a session's verdicts. Start reading here

Signatures are the business of ``cryptography``; nothing here reads a clock, a file or a random number.
"""
